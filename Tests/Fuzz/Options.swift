import Kernels

/// What the command line asks for.
struct Options {
    enum Mode: String, CaseIterable {
        case messages, sessions, graphs, records, preambles, datagrams
    }

    static let help = """
        fuzz messages|sessions|graphs|records|preambles|datagrams [options]
          messages   requests of every command, made of hostile numbers and damaged bytes
          sessions   recordings of real heads, replayed with changes
          graphs     graphs of every operation, plausible and not, computed and computed again
          records    TXT records of services on the network, well-formed, damaged and of chance
          preambles  what strangers say first to a node's door; one in a thousand is a whole handshake
          datagrams  what strangers send to a node of the DHT, with time going on

          --count N         messages, sessions, graphs, records, preambles or datagrams to run (100,000)
          --seconds S       stop after so many seconds
          --seed N          of the random numbers (1); the same seed gives the same run
          --variant NAME    kernels: baseline, avx2, avx512 (the widest that runs here)
          --threads N       that compute (2)
          --corpus FOLDER   recordings for sessions (Fixtures/fuzz/sessions)
          --only I          case I of the run alone
          --save FILE       with --only: what the case said, for --replay and Fixtures/fuzz/regressions
          --replay FILE     nothing random: what FILE holds, once with each variant
          --table           after graphs: how many of each operation were accepted
          --hang S          end the process when one message takes longer (20)
        A case that ends the process can be found in the file that the first line of output names.
        Exit status: 0 all well, 1 a fault was found, 2 wrong arguments.
        """

    var mode: Mode?
    var count = 100_000
    var seconds = Double.infinity
    var seed: UInt64 = 1
    var variant: KernelVariant?
    var threads = 2
    var corpus = "Fixtures/fuzz/sessions"
    var only: Int?
    var save: String?
    var replay: String?
    var showsTable = false
    var hangSeconds = 20.0

    struct Wrong: Error {
        var message: String
    }

    init(_ arguments: [String]) throws(Wrong) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if let mode = Mode(rawValue: argument) {
                self.mode = mode
                continue
            }
            if argument == "--table" {
                showsTable = true
                continue
            }
            guard let value = rest.popFirst() else { throw Wrong(message: "\(argument): unknown, or it lacks its value") }
            try set(argument, value)
        }
        guard mode != nil || replay != nil else { throw Wrong(message: "messages, sessions, graphs, records, preambles or datagrams?") }
    }

    private mutating func set(_ name: String, _ value: String) throws(Wrong) {
        func number<Number: LosslessStringConvertible & Comparable>(_ least: Number) throws(Wrong) -> Number {
            guard let number = Number(value), number >= least else { throw Wrong(message: "\(name): \(value) is no number for it") }
            return number
        }
        switch name {
        case "--count": count = try number(1)
        case "--seconds": seconds = try number(0)
        case "--seed": seed = try number(0)
        case "--threads": threads = try number(1)
        case "--only": only = try number(0)
        case "--hang": hangSeconds = try number(1)
        case "--corpus": corpus = value
        case "--save": save = value
        case "--replay": replay = value
        case "--variant":
            guard let variant = KernelVariant(rawValue: value) else { throw Wrong(message: "there is no variant \(value)") }
            self.variant = variant
        default: throw Wrong(message: "unknown option \(name)")
        }
    }
}
