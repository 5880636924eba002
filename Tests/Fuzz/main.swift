import Foundation
import Kernels
import RPCProto
import Tensor

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.isEmpty || arguments.contains("--help") || arguments.contains("-h") {
    print(Options.help)
    exit(arguments.isEmpty ? 2 : 0)
}
do {
    let options = try Options(arguments)
    exit(try fuzz(options) ? 0 : 1)
} catch let wrong as Options.Wrong {
    FileHandle.standardError.write(Data("fuzz: \(wrong.message)\n".utf8))
    exit(2)
} catch {
    FileHandle.standardError.write(Data("fuzz: \(error)\n".utf8))
    exit(2)
}

func fuzz(_ options: Options) throws -> Bool {
    if let path = options.replay { return try replay(path, options) }
    if options.mode == .records {
        var mode = RecordMode(options, CaseMarker(options))
        return mode.perform()
    }
    if options.mode == .preambles {
        var mode = try PreambleMode(options, CaseMarker(options))
        return mode.perform()
    }
    if options.mode == .datagrams {
        var mode = DatagramMode(options, CaseMarker(options))
        return mode.perform()
    }
    // No message may take a second, and the sanitizer makes five of one.
    var limits = CPUBackend.Limits()
    limits.graphSeconds = 0.2
    let cpu = try CPUBackend(variant: options.variant, threads: options.threads, limits: limits)
    let backend = WatchedBackend(cpu, bufferLimit: 8 << 20)
    backend.describesGraphs = options.only != nil
    var run = Run(options, backend, CaseMarker(options))
    switch options.mode {
    case .messages?:
        var mode = MessageMode()
        return try run.perform(&mode)
    case .sessions?:
        var mode = SessionMode(try SessionRecording.all(in: options.corpus))
        return try run.perform(&mode)
    case .graphs?:
        var mode = GraphMode()
        let isWell = try run.perform(&mode)
        if options.showsTable { print(Report.table(backend.counts, drawn: mode.drawn)) }
        return isWell
    case .records?, .preambles?, .datagrams?, nil: return false
    }
}

/// A session's bytes as they are, with each variant that runs here.
func replay(_ path: String, _ options: Options) throws -> Bool {
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    var isWell = true
    for variant in KernelVariant.allCases where variant.obstacle() == nil && (options.variant ?? variant) == variant {
        let backend = WatchedBackend(try CPUBackend(variant: variant, threads: options.threads), bufferLimit: 1 << 30)
        let stream = ScriptedStream(Recitation(bytes))
        let end = Session(devices: [backend]).serve(stream)
        stream.endMessage()
        backend.checkPadding("the session")
        print("\(backend.name): \(stream.messageCount) messages, \(end), slowest \(Report.duration(stream.slowestNanoseconds))")
        if let violation = backend.violation {
            print("FAULT  \(violation)")
            isWell = false
        }
    }
    return isWell
}
