#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Tokens on a command line, which every user of the machine can read there for as long as the process lives.
public enum SecretArguments {
    /// Options whose values are secret: ours, and LocalAI's spellings of them.
    static let names = ["--p2p-token", "--p2ptoken", "--token"]

    /// Overwrites the values in the process's own arguments, so that lists of processes show asterisks. What was started is seen for a
    /// moment all the same.
    ///
    /// To be called before other threads run, once what is needed of the arguments has been copied (``CommandLine/arguments``).
    public static func hide() {
        let count = Int(CommandLine.argc)
        let pointers = CommandLine.unsafeArgv
        let texts = (0..<count).map { pointers[$0].map { String(cString: $0) } ?? "" }
        for (index, offset) in places(in: texts) {
            guard let pointer = pointers[index] else { continue }
            let rest = pointer + offset
            memset(rest, Int32(UInt8(ascii: "*")), strlen(rest))
        }
    }

    /// Where the values are: which argument, and behind how many of its bytes.
    package static func places(in arguments: [String]) -> [(index: Int, offset: Int)] {
        arguments.indices.compactMap { index in
            if index > 0, names.contains(arguments[index - 1]) { return (index, 0) }
            guard let name = names.first(where: { arguments[index].hasPrefix($0 + "=") }) else { return nil }
            return (index, name.utf8.count + 1)
        }
    }
}
