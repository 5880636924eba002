#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The functions of `miniupnpc.h` and `upnpcommands.h` that are used here, of the library that this machine has. It is looked for when it is
/// needed.
///
/// The number in the library's name is the version of its interface. From 17 to 21 its records are the same, and of the functions here one has
/// changed: `UPNP_GetValidIGD`, in 18.
package struct UPnPLibrary: Sendable {
    typealias Text = UnsafePointer<CChar>?
    typealias Room = UnsafeMutablePointer<CChar>?
    typealias Record = UnsafeMutableRawPointer

    typealias Discover = @convention(c) @Sendable (Int32, Text, Text, Int32, Int32, UInt8, UnsafeMutablePointer<Int32>?) -> OpaquePointer?
    typealias FreeDevices = @convention(c) @Sendable (OpaquePointer?) -> Void
    typealias Choose17 = @convention(c) @Sendable (OpaquePointer?, Record, Record, Room, Int32) -> Int32
    typealias Choose18 = @convention(c) @Sendable (OpaquePointer?, Record, Record, Room, Int32, Room, Int32) -> Int32
    typealias OfRecord = @convention(c) @Sendable (Record) -> Void
    typealias ParseDescription = @convention(c) @Sendable (Text, Int32, Record) -> Void
    typealias ExternalAddress = @convention(c) @Sendable (Text, Text, Room) -> Int32
    typealias Add = @convention(c) @Sendable (Text, Text, Text, Text, Text, Text, Text, Text, Text) -> Int32
    typealias Delete = @convention(c) @Sendable (Text, Text, Text, Text, Text) -> Int32
    typealias Entry = @convention(c) @Sendable (Text, Text, Text, Text, Text, Room, Room, Room, Room, Room) -> Int32

    /// `UPNP_GetValidIGD`, as it is from a version on.
    enum Choose: Sendable {
        case from17(Choose17)
        case from18(Choose18)
    }

    let discover: Discover
    let freeDevices: FreeDevices
    let choose: Choose
    let freeURLs: OfRecord
    let parseDescription: ParseDescription
    let externalAddress: ExternalAddress
    let add: Add
    let delete: Delete
    let entry: Entry
    /// Of the interface.
    package let version: Int

    /// Those that are known, the latest first.
    package static let versions = [21, 20, 19, 18, 17]

    package static func fileName(_ version: Int) -> String {
        #if canImport(Darwin)
            "libminiupnpc.\(version).dylib"
        #else
            "libminiupnpc.so.\(version)"
        #endif
    }

    /// Loads the latest version that is there; it stays loaded.
    ///
    /// - Parameter files: other files than this machine's, by version.
    package init(
        files: [(version: Int, name: String)] = UPnPLibrary.versions.map { ($0, UPnPLibrary.fileName($0)) }
    ) throws(MappingError) {
        let library = try MappingLibrary(.upnp, files.map(\.name))
        version = files.first { $0.name == library.fileName }?.version ?? 0
        discover = try library.function("upnpDiscover", Discover.self)
        freeDevices = try library.function("freeUPNPDevlist", FreeDevices.self)
        choose =
            version < 18
            ? .from17(try library.function("UPNP_GetValidIGD", Choose17.self))
            : .from18(try library.function("UPNP_GetValidIGD", Choose18.self))
        freeURLs = try library.function("FreeUPNPUrls", OfRecord.self)
        parseDescription = try library.function("parserootdesc", ParseDescription.self)
        externalAddress = try library.function("UPNP_GetExternalIPAddress", ExternalAddress.self)
        add = try library.function("UPNP_AddPortMapping", Add.self)
        delete = try library.function("UPNP_DeletePortMapping", Delete.self)
        entry = try library.function("UPNP_GetSpecificPortMappingEntry", Entry.self)
    }

    /// `struct UPNPUrls`: five pointers, of which the first is the control URL.
    enum URLsLayout {
        static let size = 5 * MemoryLayout<UnsafeRawPointer>.size
        static let controlURL = 0
    }

    /// `struct IGDdatas`: three texts of 128 bytes, a number, and five services of four texts each; that of the connection is the second one.
    package enum DescriptionLayout {
        package static let text = 128
        static let service = 4 * text
        static let size = 3 * text + 4 + 5 * service
        static let connection = 3 * text + 4 + service
        package static let controlURL = connection
        package static let serviceType = connection + 3 * text
    }

    /// Has the library read a router's description, and gives the fields of the record at the places where they are taken to be: that they
    /// are there can be told only so.
    package func connection(in description: String) -> (controlURL: String, serviceType: String) {
        let record = UPnPLibrary.room(DescriptionLayout.size)
        defer { record.deallocate() }
        description.withCString { parseDescription($0, Int32(description.utf8.count), record) }
        return (
            UPnPLibrary.text(record + DescriptionLayout.controlURL, DescriptionLayout.text),
            UPnPLibrary.text(record + DescriptionLayout.serviceType, DescriptionLayout.text)
        )
    }

    /// Clean memory for a record, and more than it has today.
    static func room(_ size: Int) -> Record {
        let record = UnsafeMutableRawPointer.allocate(byteCount: size * 4, alignment: 16)
        record.initializeMemory(as: UInt8.self, repeating: 0, count: size * 4)
        return record
    }

    /// A text of at most so many bytes.
    static func text(_ pointer: UnsafeRawPointer, _ size: Int) -> String {
        let bytes = UnsafeRawBufferPointer(start: pointer, count: size)
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
