/// Where a program tells what it does. A line that cannot be written, since whoever read them has gone or a disk is full, is lost and
/// nothing else.
package enum StandardError {
    /// In one call where the system takes it, so that lines of several threads do not mix.
    package static func write(_ text: String) { write(Array(text.utf8), to: 2) }

    package static func write(_ bytes: [UInt8], to descriptor: Int32) {
        bytes.withUnsafeBytes { _ = WholeWrite.write($0, to: descriptor) }
    }
}
