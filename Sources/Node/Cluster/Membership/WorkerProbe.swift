internal import Base
package import NodeEngine
internal import RPCProto
package import Tensor

/// What can be found out about workers without using them.
package struct WorkerProbe: Sendable {
    /// As it was named.
    package var name: String
    /// Why it cannot be used; nil if it can.
    package var obstacle: String?
    package var version: String?
    package var roundTrip: Duration?
    /// By device.
    package var memory: [DeviceMemory] = []

    /// Connects to all at the same time, asks, and lets go of them.
    package static func probe(_ names: [String], _ options: HeadOptions) -> [WorkerProbe] {
        let limits = options.watchfulLimits
        return Parallel.map(names) { name in
            var probe = WorkerProbe(name: name)
            do {
                let endpoint = try Endpoint(parsing: name)
                let server = try ConnectedServers.Server(.endpoint(endpoint), ServerConnection.connect(to: endpoint, limits: limits))
                probe.version = "\(server.connection.version)"
                probe.roundTrip = server.roundTrip
                probe.memory = server.memory
                server.connection.close()
            } catch {
                probe.obstacle = "\(error)"
            }
            return probe
        }
    }

    /// Whether a server could listen at a port of this machine.
    package static func isFree(port: Int) -> Bool {
        guard let listeners = try? SocketListener.listen(host: "127.0.0.1", port: port) else { return false }
        for listener in listeners { listener.stop() }
        return true
    }
}
