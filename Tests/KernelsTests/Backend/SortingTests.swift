import Kernels
import Tensor
import TestSupport
import Testing

/// Orders of rows of every length that is sorted in another way, with equal values, both zeros and what is no number.
@Suite struct SortingTests {
    static func values(_ count: Int, _ random: inout SeededRandom) -> [Float] {
        (0..<count).map { _ in
            switch Int.random(in: 0..<12, using: &random) {
            case 0: .nan
            case 1: -.infinity
            case 2: .infinity
            case 3: -0.0
            case 4: 0
            case 5, 6: Float(Int.random(in: -3...3, using: &random))
            case 7: Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random))
            default: Float.random(in: -1e3...1e3, using: &random)
            }
        }
    }

    private func expected(_ values: [Float], _ order: SortOrder) -> [Int32] {
        let sorted = values.indices.sorted { i, j in
            let (x, y) = (values[i], values[j])
            if x.isNaN || y.isNaN { return x.isNaN == y.isNaN ? i < j : y.isNaN }
            return x == y ? i < j : (order == .ascending ? x < y : x > y)
        }
        return sorted.map(Int32.init)
    }

    @Test(arguments: BackendUnderTest.all)
    func sortsRowsOfAnyLength(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 61)
        for count in [1, 2, 40, 41, 255, 1000, 6000] {
            let x = Dense(Shape(count, 3), SortingTests.values(count * 3, &random))
            for order in [SortOrder.ascending, .descending] {
                let test = GraphUnderTest()
                let result = test.builder.node("", .argsort(order), [test.floats(x)])
                let found = try test.integers(of: result, on: given.backend)
                for row in 0..<3 {
                    #expect(Array(found[(row * count)..<((row + 1) * count)]) == expected(x.row(row, 0, 0), order), "\(count)")
                }
            }
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func picksTheLargestInOrder(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 62)
        for (count, wanted) in [(12, 1), (300, 300), (300, 7), (5000, 1), (5000, 40), (5000, 4000), (20_000, 16)] {
            let x = Dense(Shape(count, 2), SortingTests.values(count * 2, &random))
            let test = GraphUnderTest()
            let result = test.builder.node("", .topK(count: wanted), [test.floats(x)])
            let found = try test.integers(of: result, on: given.backend)
            for row in 0..<2 {
                let all = expected(x.row(row, 0, 0), .descending)
                #expect(Array(found[(row * wanted)..<((row + 1) * wanted)]) == Array(all[0..<wanted]), "\(wanted) of \(count)")
            }
        }
    }

    /// All alike: whatever is selected by leading bits, nothing is left out and nothing overflows.
    @Test(arguments: BackendUnderTest.all)
    func picksFromEqualValues(_ given: BackendUnderTest) throws {
        for value in [Float.nan, 0, -Float.infinity, 1.5] {
            let test = GraphUnderTest()
            let x = test.floats(Dense(Shape(3000)) { _, _, _, _ in value })
            let found = try test.integers(of: test.builder.node("", .topK(count: 9), [x]), on: given.backend)
            #expect(found == Array(0..<9))
        }
    }
}
