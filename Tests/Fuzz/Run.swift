import Foundation
import RPCProto

/// Cases of one mode, one session each.
protocol Mode {
    /// What the sessions of a case are told.
    mutating func speaker(for index: Int, _ random: Random) -> any Speaker
    /// How many of the things that the mode counts a session was told.
    func count(of stream: ScriptedStream) -> Int
}

/// Runs cases until enough, and says what came of it.
struct Run {
    let options: Options
    let backend: WatchedBackend
    let sessionOptions: SessionOptions
    let marker: CaseMarker

    private var counted = 0
    private var cases = 0
    private var graphsAsked = 0
    private var graphCount = 0
    private var slowest: (nanoseconds: UInt64, index: Int) = (0, 0)
    private var slowCases: [Int] = []
    /// Cases held again since they were slow, which they were not each time unless they are among ``slowCases``.
    private var suspicions = 0
    private var ends: [String: Int] = [:]
    /// A message may take this long.
    private static let patience: UInt64 = 1_000_000_000
    /// Cases before memory is first looked at, so that what is made once is there.
    private static let warmUp = 200

    init(_ options: Options, _ backend: WatchedBackend, _ marker: CaseMarker) {
        self.options = options
        self.backend = backend
        self.marker = marker
        var sessionOptions = SessionOptions()
        sessionOptions.graphByteCount = 1 << 22
        self.sessionOptions = sessionOptions
    }

    /// - Returns: whether all was well.
    mutating func perform(_ mode: inout some Mode) throws -> Bool {
        let started = Clock.now()
        var seconds: Double { Double(Clock.now() - started) / 1e9 }
        var residentAtStart = ProcessMemory.residentBytes()
        var index = options.only ?? 0
        var faults: [String] = []
        var copy: FileHandle?
        if options.only != nil, let path = options.save, FileManager.default.createFile(atPath: path, contents: nil) {
            copy = FileHandle(forWritingAtPath: path)
        }
        while counted < options.count, seconds < options.seconds {
            marker.begin(index)
            let (end, stream) = try hold(mode.speaker(for: index, random(index)), copiedTo: copy)
            var took = stream.slowestNanoseconds
            // Whoever else uses the machine is no fault of the message's: it is slow if it is so each time.
            for _ in 0..<2 where took > Run.patience && options.only == nil {
                suspicions += 1
                marker.begin(index)
                took = min(took, try hold(mode.speaker(for: index, random(index)), copiedTo: nil).stream.slowestNanoseconds)
            }
            note(end, took, index)
            counted += mode.count(of: stream)
            backend.checkPadding("the session")
            if let violation = backend.violation {
                faults.append("case \(index): \(violation)")
                break
            }
            if options.only != nil {
                print("case \(index): \(stream.messageCount) messages, \(end), slowest \(Report.duration(stream.slowestNanoseconds))")
                break
            }
            index += 1
            cases += 1
            if cases == Run.warmUp { residentAtStart = ProcessMemory.residentBytes() }
        }
        marker.end()
        if !slowCases.isEmpty { faults.append("slower than 1 s: cases \(slowCases.prefix(20).map(String.init).joined(separator: ", "))") }
        report(seconds, residentAtStart, faults)
        return faults.isEmpty
    }

    private func random(_ index: Int) -> Random { Random(seed: options.seed, index: index) }

    private mutating func hold(
        _ speaker: any Speaker, copiedTo copy: FileHandle?
    ) throws -> (end: SessionEnd, stream: ScriptedStream) {
        try backend.beginSession()
        let stream = ScriptedStream(speaker, copiedTo: copy)
        let session = Session(devices: [backend], options: sessionOptions)
        let end = session.serve(stream)
        stream.endMessage()
        graphCount += session.activity.graphCount
        graphsAsked += stream.graphCount
        return (end, stream)
    }

    private mutating func note(_ end: SessionEnd, _ nanoseconds: UInt64, _ index: Int) {
        if nanoseconds > slowest.nanoseconds { slowest = (nanoseconds, index) }
        if nanoseconds > Run.patience { slowCases.append(index) }
        switch end {
        case .closed: ends["closed", default: 0] += 1
        case .lost: ends["cut short", default: 0] += 1
        case .refused(let error): ends["refused: \(error.code)", default: 0] += 1
        }
    }

    private func report(_ seconds: Double, _ residentAtStart: Int, _ faults: [String]) {
        let name = options.mode?.rawValue ?? ""
        let rate = Int(Double(counted) / max(seconds, 1e-9))
        print(
            "\(counted) \(name) in \(cases) sessions, \(Report.fixed(seconds, 1)) s, \(rate) a second; \(backend.name), seed \(options.seed)"
        )
        print("  sessions: " + ends.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        let accepted = backend.counts.values.reduce(0) { $0 + $1.accepted }
        let asked = backend.counts.values.reduce(0) { $0 + $1.asked }
        print(
            "  graphs: \(graphsAsked), \(Report.share(graphCount, graphsAsked)) accepted and computed; nodes: \(asked) in graphs read whole, \(Report.share(accepted, asked)) accepted; operations accepted: "
                + "\(backend.counts.values.count { $0.accepted > 0 }); too much work: \(backend.tooMuchCount), stopped: \(backend.stoppedCount)"
        )
        print("  slowest message: \(Report.duration(slowest.nanoseconds)), case \(slowest.index); held again for slowness: \(suspicions)")
        let now = ProcessMemory.residentBytes()
        print("  resident: \(residentAtStart >> 20) MiB after \(min(cases, Run.warmUp)) sessions, \(now >> 20) MiB at the end")
        for fault in faults { print("FAULT  \(fault)") }
        print(faults.isEmpty ? "ok" : "failed")
    }
}
