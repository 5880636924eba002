import Node
import TestSupport
import Testing

@Suite struct StopMatcherTests {
    private func run(_ stops: [String], _ pieces: [String]) -> (text: String, found: String?) {
        var matcher = StopMatcher(stops)
        var text = ""
        for piece in pieces {
            text += matcher.push(piece)
            if matcher.found != nil { return (text, matcher.found) }
        }
        return (text + matcher.finish(), nil)
    }

    @Test("Text that may begin a stop string is held back, and only that")
    func holdsBack() {
        var matcher = StopMatcher(["END"])
        #expect(matcher.push("abcE") == "abc")
        #expect(matcher.push("N") == "")
        #expect(matcher.push("x") == "ENx")
        #expect(matcher.push("EEN") == "E")
        #expect(matcher.finish() == "EN")
    }

    @Test("A stop string over several pieces is found and not passed on; what follows is dropped")
    func finds() {
        #expect(run(["END"], ["a E", "N", "D b"]) == ("a ", "END"))
        #expect(run(["\n\n"], ["one\n", "\ntwo"]) == ("one", "\n\n"))
        #expect(run([], ["a", "b"]) == ("ab", nil))
    }

    @Test("Self-overlapping strings are found where they first end")
    func overlaps() {
        #expect(run(["aab"], ["a", "a", "a", "b"]) == ("a", "aab"))
        #expect(run(["abab"], ["aba", "abab"]) == ("aba", "abab"))
    }

    @Test("Of several the one that ends first wins, and of those that end together the longest")
    func several() {
        #expect(run(["abc", "b"], ["abc"]) == ("a", "b"))
        #expect(run(["b", "ab"], ["xab"]) == ("x", "ab"))
    }

    @Test("Characters of several bytes survive any cut between pieces")
    func unicode() {
        #expect(run(["é!"], ["caf", "é", "?"]) == ("café?", nil))
        #expect(run(["😀"], ["hi ", "😀", "x"]) == ("hi ", "😀"))
    }

    @Test("The outcome does not depend on how the text is cut, and is that of a plain search")
    func cutsDoNotMatter() {
        var generator = SeededRandom(seed: 3)
        for _ in 0..<2000 {
            let text = String((0..<20).map { _ in "abé".randomElement(using: &generator) ?? "a" })
            let stops = (0..<Int.random(in: 1...3, using: &generator)).map { _ in
                String((0..<Int.random(in: 1...4, using: &generator)).map { _ in "abé".randomElement(using: &generator) ?? "a" })
            }
            var pieces: [String] = []
            var rest = text[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...5, using: &generator)
                pieces.append(String(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            let expected = search(stops, text)
            #expect(run(stops, pieces) == expected)
            #expect(run(stops, [text]) == expected)
        }
    }

    private func search(_ stops: [String], _ text: String) -> (text: String, found: String?) {
        for end in text.indices.map({ text.index(after: $0) }) {
            let head = text[..<end]
            if let stop = stops.filter({ head.hasSuffix($0) }).max(by: { $0.utf8.count < $1.utf8.count }) {
                return (String(head.dropLast(stop.count)), stop)
            }
        }
        return (text, nil)
    }
}
