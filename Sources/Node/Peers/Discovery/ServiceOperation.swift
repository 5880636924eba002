#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What the daemon says to an operation.
enum ServiceReply: Hashable {
    /// The service is announced, by this name.
    case registered(name: String)
    case sighted(ServiceKey)
    case unsighted(ServiceKey)
    /// - Parameter text: the TXT record; nil if it is longer than any may be.
    case resolved(hostName: String, port: Int, text: [UInt8]?)
    case address([UInt8], isThere: Bool)
    /// The operation is over; a `DNSServiceErrorType`.
    case failed(Int32)
}

/// An operation with the daemon, for one thread: it waits until ``descriptor`` can be read, calls ``process()``, and is told
/// what was said. Closing it ends what it stands for.
final class ServiceOperation {
    /// Where a reply goes. The library holds it without counting, so it lives as long as the operation.
    private final class Sink {
        let take: (ServiceReply) -> Void

        init(_ take: @escaping (ServiceReply) -> Void) {
            self.take = take
        }
    }

    enum Kind {
        case register(name: String, type: String, port: Int, text: [UInt8])
        case browse(type: String)
        case resolve(ServiceKey, type: String)
        case address(hostName: String, interface: UInt32, isIPv6: Bool)

        var name: String {
            switch self {
            case .register: "registering"
            case .browse: "browsing"
            case .resolve: "resolving"
            case .address: "looking up an address"
            }
        }
    }

    private let library: DNSServiceLibrary
    private let kind: Kind
    private let reference: DNSServiceLibrary.Reference
    private let sink: Sink
    private var isOpen = true

    /// - Parameter take: called by ``process()``, and perhaps already while the operation is opened; must not close it.
    init(_ kind: Kind, _ library: DNSServiceLibrary, _ take: @escaping (ServiceReply) -> Void) throws(DiscoveryError) {
        self.library = library
        self.kind = kind
        sink = Sink(take)
        let context = Unmanaged.passUnretained(sink).toOpaque()
        var reference: DNSServiceLibrary.Reference?
        let code =
            switch kind {
            case .register(let name, let type, let port, let text):
                library.register(
                    &reference, 0, 0, name, type, nil, nil, UInt16(truncatingIfNeeded: port).bigEndian,
                    UInt16(truncatingIfNeeded: text.count), text,
                    { ServiceOperation.registered($0, $1, $2, $3, $4, $5, $6) }, context)
            case .browse(let type):
                library.browse(&reference, 0, 0, type, nil, { ServiceOperation.browsed($0, $1, $2, $3, $4, $5, $6, $7) }, context)
            case .resolve(let key, let type):
                library.resolve(
                    &reference, 0, key.interface, key.name, type, key.domain,
                    { ServiceOperation.resolved($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) }, context)
            case .address(let hostName, let interface, let isIPv6):
                library.queryRecord(
                    &reference, 0, interface, hostName, isIPv6 ? RecordType.aaaa : RecordType.a, RecordType.internet,
                    { ServiceOperation.answered($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) }, context)
            }
        guard code == 0, let reference else { throw DiscoveryError(operation: kind.name, code: code == 0 ? DiscoveryError.unknown : code) }
        self.reference = reference
    }

    deinit { close() }

    var descriptor: Int32 { library.descriptor(reference) }

    /// Takes what the daemon has said. It blocks if it has said nothing.
    func process() throws(DiscoveryError) {
        let code = library.processResult(reference)
        guard code == 0 else { throw DiscoveryError(operation: kind.name, code: code) }
    }

    /// Announces another TXT record for a service registered before.
    func update(text: [UInt8]) throws(DiscoveryError) {
        let code = library.updateRecord(reference, nil, 0, UInt16(truncatingIfNeeded: text.count), text, 0)
        guard code == 0 else { throw DiscoveryError(operation: "updating the TXT record", code: code) }
    }

    /// Not from within `take`.
    func close() {
        guard isOpen else { return }
        isOpen = false
        library.deallocate(reference)
    }

    // MARK: Replies

    private enum RecordType {
        static let a: UInt16 = 1
        static let aaaa: UInt16 = 28
        static let internet: UInt16 = 1
    }

    /// The flag of something that is there, as opposed to there no more.
    private static let isThere: UInt32 = 2

    nonisolated private static func take(_ reply: ServiceReply?, _ context: DNSServiceLibrary.Context) {
        guard let reply, let context else { return }
        Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue().take(reply)
    }

    /// A text of at most so many bytes that are UTF-8; else nil.
    nonisolated private static func string(_ text: DNSServiceLibrary.Text, limit: Int) -> String? {
        guard let text else { return nil }
        let count = strnlen(text, limit + 1)
        guard count > 0, count <= limit else { return nil }
        return String(validating: UnsafeBufferPointer(start: text, count: count).lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    nonisolated private static func registered(
        _: DNSServiceLibrary.Reference?, _: UInt32, _ code: Int32, _ name: DNSServiceLibrary.Text, _: DNSServiceLibrary.Text,
        _: DNSServiceLibrary.Text, _ context: DNSServiceLibrary.Context
    ) {
        take(code == 0 ? .registered(name: string(name, limit: ServiceKey.nameLimit) ?? "") : .failed(code), context)
    }

    nonisolated private static func browsed(
        _: DNSServiceLibrary.Reference?, _ flags: UInt32, _ interface: UInt32, _ code: Int32, _ name: DNSServiceLibrary.Text,
        _: DNSServiceLibrary.Text, _ domain: DNSServiceLibrary.Text, _ context: DNSServiceLibrary.Context
    ) {
        guard code == 0 else { return take(.failed(code), context) }
        guard let name = string(name, limit: ServiceKey.nameLimit), let domain = string(domain, limit: ServiceKey.hostNameLimit)
        else { return }
        let key = ServiceKey(name: name, domain: domain, interface: interface)
        take(flags & isThere != 0 ? .sighted(key) : .unsighted(key), context)
    }

    nonisolated private static func resolved(
        _: DNSServiceLibrary.Reference?, _: UInt32, _: UInt32, _ code: Int32, _: DNSServiceLibrary.Text, _ hostName: DNSServiceLibrary.Text,
        _ port: UInt16, _ count: UInt16, _ text: UnsafePointer<UInt8>?, _ context: DNSServiceLibrary.Context
    ) {
        guard code == 0 else { return take(.failed(code), context) }
        // A host of no name that can be asked for has no address either.
        guard let hostName = string(hostName, limit: ServiceKey.hostNameLimit) else {
            return take(.resolved(hostName: "", port: 0, text: nil), context)
        }
        let bytes = Int(count) <= ServiceText.byteLimit ? Array(UnsafeBufferPointer(start: text, count: text == nil ? 0 : Int(count))) : nil
        take(.resolved(hostName: hostName, port: Int(UInt16(bigEndian: port)), text: bytes), context)
    }

    nonisolated private static func answered(
        _: DNSServiceLibrary.Reference?, _ flags: UInt32, _: UInt32, _ code: Int32, _: DNSServiceLibrary.Text, _ type: UInt16, _: UInt16,
        _ count: UInt16, _ data: UnsafeRawPointer?, _: UInt32, _ context: DNSServiceLibrary.Context
    ) {
        guard code == 0 else { return take(.failed(code), context) }
        guard let data, count == (type == RecordType.a ? 4 : type == RecordType.aaaa ? 16 : 0) else { return }
        take(.address(Array(UnsafeRawBufferPointer(start: data, count: Int(count))), isThere: flags & isThere != 0), context)
    }
}
