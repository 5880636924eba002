#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The functions of `dns_sd.h` that are used here, of the library that this machine has: Avahi's stand-in for it on Linux (libdns_sd.so.1),
/// the system's own on macOS. It is looked for when it is needed, so that a program runs also where it is not installed.
///
/// The types below are those of the C interface, with flags, interfaces and errors as plain numbers.
package struct DNSServiceLibrary: Sendable {
    /// An operation with the daemon (`DNSServiceRef`).
    typealias Reference = OpaquePointer
    typealias Text = UnsafePointer<CChar>?
    typealias Context = UnsafeMutableRawPointer?

    typealias RegisterReply = @convention(c) (Reference?, UInt32, Int32, Text, Text, Text, Context) -> Void
    typealias BrowseReply = @convention(c) (Reference?, UInt32, UInt32, Int32, Text, Text, Text, Context) -> Void
    typealias ResolveReply =
        @convention(c) (
            Reference?, UInt32, UInt32, Int32, Text, Text, UInt16, UInt16, UnsafePointer<UInt8>?, Context
        ) -> Void
    typealias QueryReply =
        @convention(c) (
            Reference?, UInt32, UInt32, Int32, Text, UInt16, UInt16, UInt16, UnsafeRawPointer?, UInt32, Context
        ) -> Void

    typealias Register =
        @convention(c) @Sendable (
            UnsafeMutablePointer<Reference?>, UInt32, UInt32, Text, Text, Text, Text, UInt16, UInt16, UnsafeRawPointer?, RegisterReply?,
            Context
        ) -> Int32
    typealias Browse =
        @convention(c) @Sendable (UnsafeMutablePointer<Reference?>, UInt32, UInt32, Text, Text, BrowseReply?, Context) -> Int32
    typealias Resolve =
        @convention(c) @Sendable (UnsafeMutablePointer<Reference?>, UInt32, UInt32, Text, Text, Text, ResolveReply?, Context) -> Int32
    typealias QueryRecord =
        @convention(c) @Sendable (UnsafeMutablePointer<Reference?>, UInt32, UInt32, Text, UInt16, UInt16, QueryReply?, Context) -> Int32
    typealias UpdateRecord = @convention(c) @Sendable (Reference?, OpaquePointer?, UInt32, UInt16, UnsafeRawPointer?, UInt32) -> Int32
    typealias OfReference = @convention(c) @Sendable (Reference?) -> Int32
    typealias Deallocate = @convention(c) @Sendable (Reference?) -> Void

    let register: Register
    let browse: Browse
    let resolve: Resolve
    let queryRecord: QueryRecord
    let updateRecord: UpdateRecord
    let descriptor: OfReference
    let processResult: OfReference
    let deallocate: Deallocate

    /// The library's file, as the loader is asked for it.
    package static var fileName: String {
        #if canImport(Darwin)
            "/usr/lib/libSystem.B.dylib"
        #else
            "libdns_sd.so.1"
        #endif
    }

    /// Loads the library; it stays loaded.
    ///
    /// - Parameter fileName: another library than this machine's.
    /// - Throws: ``DiscoveryError/libraryMissing(_:)`` or ``DiscoveryError/functionMissing(_:)``.
    package init(fileName: String = DNSServiceLibrary.fileName) throws(DiscoveryError) {
        // Avahi's prints a page of advice otherwise.
        setenv("AVAHI_COMPAT_NOWARN", "1", 0)
        guard let handle = dlopen(fileName, RTLD_NOW | RTLD_LOCAL) else {
            throw .libraryMissing(dlerror().map { String(cString: $0) } ?? "no reason given")
        }
        func function<Function>(_ name: String, _ type: Function.Type) throws(DiscoveryError) -> Function {
            guard let address = dlsym(handle, name) else { throw .functionMissing(name) }
            return unsafeBitCast(address, to: type)
        }
        register = try function("DNSServiceRegister", Register.self)
        browse = try function("DNSServiceBrowse", Browse.self)
        resolve = try function("DNSServiceResolve", Resolve.self)
        queryRecord = try function("DNSServiceQueryRecord", QueryRecord.self)
        updateRecord = try function("DNSServiceUpdateRecord", UpdateRecord.self)
        descriptor = try function("DNSServiceRefSockFD", OfReference.self)
        processResult = try function("DNSServiceProcessResult", OfReference.self)
        deallocate = try function("DNSServiceRefDeallocate", Deallocate.self)
    }
}
