import Foundation
import NodePeers

/// Has a port of the router lead to one of this machine, until the input says "stop" or ends.
///
/// - Parameter options: `wished` a port of the router; `udp` a second port, of datagrams; `by` the only method; `lifetime`, `look` and `longest`
///   in seconds, `library` a file of UPnP's library with `version`, its interface's.
func map(_ portText: String, _ options: [String: String]) throws {
    guard let port = UInt16(portText) else { usage() }
    var settings = MappingSchedule.Settings()
    if let lifetime = options["lifetime"].flatMap(UInt32.init) { settings.lifetime = lifetime }
    if let look = options["look"].flatMap(Double.init) { settings.lookInterval = look }
    if let longest = options["longest"].flatMap(Double.init) { settings.pauses = min(0.5, longest)...longest }
    if let method = options["by"].flatMap(MappingMethod.init) { settings.methods = [method] }
    var ports = [MappedPort(.tcp, inside: port, outside: options["wished"].flatMap(UInt16.init) ?? port)]
    if let datagrams = options["udp"].flatMap(UInt16.init) { ports.append(MappedPort(.udp, inside: datagrams, outside: datagrams)) }
    let library = options["library"]
    let version = options["version"].flatMap(Int.init) ?? 0
    let mapper = try PortMapper(
        ports, settings,
        opening: { method throws(MappingError) in
            if method == .upnp, let library { return UPnPAccess(try UPnPLibrary(files: [(version, library)])) }
            return try PortMapper.library(method)
        }, onChange: { Output.say($0) })
    while let line = readLine(), line != "stop" {}
    mapper.stop()
    mapper.join()
    Output.write(["stopped": true])
}
