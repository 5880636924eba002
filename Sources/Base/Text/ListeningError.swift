/// A server cannot listen where it was told to.
public struct ListeningError: Error, CustomStringConvertible {
    public var host: String
    public var port: Int
    public var reason: String
    /// The option that takes another port.
    public var option: String

    package init(host: String, port: Int, reason: String, option: String = "--port") {
        self.option = option
        self.host = host
        self.port = port
        self.reason = reason
    }

    public var description: String {
        let advice = "Is another program using the port? \(option) takes another, \(option) 0 any that is free."
        let isTaken = reason.lowercased().contains("in use")
        return "cannot listen on \(host) port \(port): \(reason).\(isTaken ? " " + advice : "")"
    }
}
