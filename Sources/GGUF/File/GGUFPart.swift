public import Tensor

/// One file of a model: all of it, or one part of a split.
public struct GGUFPart: Sendable {
    public let path: String
    /// 2 or 3. They differ in nothing that a little-endian reader sees.
    public let version: UInt32
    /// Where in the file tensors may begin: a power of two.
    public let alignment: Int
    /// Where the tensors' data begin, counted from the start of the file.
    public let dataOffset: Int
    public let metadata: GGUFMetadata
    /// The whole file.
    public let mapping: MemoryRegion
    let tensors: [GGUFTensor]

    public var tensorCount: Int { tensors.count }

    init(path: String, index: Int) throws(GGUFError) {
        let mapping = try Mapping(path: path)
        self.path = path
        self.mapping = mapping.region
        var cursor = ByteCursor(mapping.bytes, file: path)
        version = try cursor.header()

        let tensorCount = try cursor.count("the number of tensors")
        let keyCount = try cursor.count("the number of metadata keys")
        try cursor.expectRoom(for: keyCount, of: 13, "metadata entries")
        metadata = try cursor.metadata(count: keyCount, owner: mapping)
        alignment = try GGUFPart.alignment(of: metadata, file: path)

        try cursor.expectRoom(for: tensorCount, of: 24, "tensors")
        var records = [TensorRecord]()
        var names = Set<String>()
        for _ in 0..<tensorCount {
            let record = try cursor.tensorRecord()
            guard names.insert(record.name).inserted else {
                let message = "there is a second tensor named \"\(record.name)\""
                throw GGUFError(.duplicate, file: path, at: record.recordOffset, message)
            }
            records.append(record)
        }

        let (sum, overflow) = cursor.offset.addingReportingOverflow(alignment - 1)
        guard !overflow else { throw GGUFError(.malformed, file: path, "the alignment \(alignment) overflows") }
        // A file without tensors need not be padded up to where their data would begin.
        dataOffset = tensorCount == 0 ? cursor.offset : sum & ~(alignment - 1)
        tensors = try GGUFPart.placed(
            records, part: index, alignment: alignment, dataOffset: dataOffset, fileSize: mapping.bytes.count, file: path)
    }

    private static func alignment(of metadata: GGUFMetadata, file: String) throws(GGUFError) -> Int {
        guard let entry = metadata.entry("general.alignment") else { return 32 }
        guard case .uint32(let number) = entry.value else {
            let message = "\"general.alignment\" is of type \(entry.value.type.name), not uint32"
            throw GGUFError(.malformed, file: file, at: entry.byteOffset, message)
        }
        guard number.nonzeroBitCount == 1 else {
            let message = "\"general.alignment\" is \(number), which is no power of two"
            throw GGUFError(.malformed, file: file, at: entry.byteOffset, message)
        }
        return Int(number)
    }

    /// What is likely where data lie behind the file's end: that it is not all there.
    private static func loss(_ records: [TensorRecord], dataOffset: Int, fileSize: Int) -> String {
        var whole = 0
        for record in records {
            guard let relative = Int(exactly: record.dataOffset) else { return "" }
            let (begin, overflow) = dataOffset.addingReportingOverflow(relative)
            let (end, carried) = begin.addingReportingOverflow(record.byteCount)
            if overflow || carried { return "" }
            whole = max(whole, end)
        }
        return
            "; whole it would have \(whole): it was cut short on its way, or is one of several pieces that are to be joined end to end first"
    }

    /// The tensors with their data found: aligned, inside of the file, and none over another.
    private static func placed(
        _ records: [TensorRecord], part: Int, alignment: Int, dataOffset: Int, fileSize: Int, file: String
    ) throws(GGUFError) -> [GGUFTensor] {
        var tensors = [GGUFTensor]()
        tensors.reserveCapacity(records.count)
        for record in records {
            func fail(_ message: String) -> GGUFError {
                GGUFError(.extent, file: file, at: record.recordOffset, "the data of tensor \"\(record.name)\" \(message)")
            }
            guard record.dataOffset % UInt64(alignment) == 0 else {
                throw fail("begin at \(record.dataOffset), which is no multiple of \(alignment)")
            }
            guard let relative = Int(exactly: record.dataOffset) else { throw fail("begin at \(record.dataOffset)") }
            let (begin, overflow) = dataOffset.addingReportingOverflow(relative)
            let (end, carried) = begin.addingReportingOverflow(record.byteCount)
            // Data that begin at the padded end of a file that is not padded are allowed to be empty only.
            guard !overflow, !carried, end <= fileSize || record.byteCount == 0 else {
                let message = "(\(record.byteCount) bytes at \(record.dataOffset) of the data) leave the file of \(fileSize) bytes"
                throw fail(message + GGUFPart.loss(records, dataOffset: dataOffset, fileSize: fileSize))
            }
            tensors.append(
                GGUFTensor(
                    name: record.name, type: record.type, shape: record.shape, dimensionCount: record.dimensionCount,
                    part: part, byteOffset: min(begin, fileSize), byteCount: record.byteCount))
        }
        let order = tensors.indices.filter { tensors[$0].byteCount > 0 }.sorted {
            tensors[$0].byteOffset < tensors[$1].byteOffset
        }
        for (first, second) in zip(order, order.dropFirst()) {
            let a = tensors[first]
            let b = tensors[second]
            guard a.byteOffset + a.byteCount <= b.byteOffset else {
                throw GGUFError(
                    .extent, file: file, at: records[second].recordOffset,
                    "the data of tensors \"\(a.name)\" and \"\(b.name)\" overlap at byte \(b.byteOffset)")
            }
        }
        return tensors
    }
}
