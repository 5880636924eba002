/// Why there is no tunnel.
package struct TunnelError: Error, Hashable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
