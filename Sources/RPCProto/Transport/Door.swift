/// Where clients come in: a port that listens, or what else yields connected streams. Whoever comes in is known by its address and,
/// where the door asks who comes (``SocketStream/identity``), by that.
package protocol Door: Sendable {
    /// The port that clients connect to.
    var port: Int { get }

    /// Waits for a client; nil once ``stop()`` was called. One thread at a time.
    ///
    /// - Throws: `failed` for what concerns this client, or passes; the door stays open.
    func accept() throws(StreamError) -> SocketStream?

    /// Lets nobody in any more; a call of ``accept()`` that waits comes back.
    func stop()
}

/// A port asks nobody who they are.
extension SocketListener: Door {}
