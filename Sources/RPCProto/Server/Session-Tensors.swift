internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

// Contents of tensors, in and out.
extension Session {
    /// Bytes moved at once where the backend's memory is not this process's.
    static let chunk = 1 << 20

    func setTensor(
        _ tensor: TensorRecord, _ offset: UInt64, byteCount: UInt64, isCacheable: Bool, _ stream: any ByteStream
    ) throws {
        let place = try buffers.place(of: tensor)
        let range = try place.range(offset, byteCount)
        try receive(stream, into: place.entry.buffer, range)
        if isCacheable, let cache = options.cache {
            try withBytes(of: place.entry.buffer, range) { cache.storeLater($0, scope: options.cacheScope) }
        }
    }

    func setTensor(
        _ tensor: TensorRecord, _ region: Request.Region2D, byteCount: UInt64, _ stream: any ByteStream
    ) throws {
        let place = try buffers.place(of: tensor)
        let first = try firstStretch(region, of: place)
        let (total, overflow) = region.byteCount.multipliedReportingOverflow(by: region.copies)
        guard !overflow, total == byteCount else {
            throw SessionError(
                .malformed, nil, "\(byteCount) bytes of data for \(region.copies) stretches of \(region.byteCount)")
        }
        let step = region.step
        for copy in 0..<Int(region.copies) {
            let start = first.lowerBound + copy * step
            try receive(stream, into: place.entry.buffer, start..<(start + first.count))
        }
    }

    func getTensor(
        _ tensor: TensorRecord, _ offset: UInt64, _ byteCount: UInt64, _ stream: any ByteStream
    ) throws {
        let place = try buffers.place(of: tensor)
        let range = try place.range(offset, byteCount)
        guard range.lowerBound < place.entry.buffer.byteCount else {
            throw SessionError(.bounds, nil, "a read that begins at the end of its buffer")
        }
        var size = byteCount.littleEndian
        try withUnsafeBytes(of: &size) { head in
            if let host = place.entry.buffer.hostBytes {
                return try stream.send(head, UnsafeRawBufferPointer(rebasing: host[range]))
            }
            try stream.send(head, UnsafeRawBufferPointer(start: nil, count: 0))
            try send(place.entry.buffer, range, stream)
        }
    }

    func getTensor(_ tensor: TensorRecord, _ region: Request.Region2D, _ stream: any ByteStream) throws {
        let place = try buffers.place(of: tensor)
        let first = try firstStretch(region, of: place)
        // Bounded by the tensor only where stretches do not overlap; a stride of 0 could ask for any amount.
        let (total, overflow) = region.byteCount.multipliedReportingOverflow(by: region.copies)
        guard !overflow, total <= UInt64(place.extent) else {
            throw SessionError(.limit, nil, "\(region.copies) stretches of \(region.byteCount) bytes from a tensor of \(place.extent)")
        }
        var size = total.littleEndian
        try withUnsafeBytes(of: &size) { head in
            try sendStretches(of: place.entry.buffer, first, count: Int(region.copies), step: region.step, behind: head, stream)
        }
    }

    /// Stretches at equal distances, one behind the other: long ones as they lie, short ones gathered first, some at a time.
    private func sendStretches(
        of buffer: any Buffer, _ first: Range<Int>, count: Int, step: Int, behind head: UnsafeRawBufferPointer,
        _ stream: any ByteStream
    ) throws {
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        if first.count >= Session.chunk / 4 {
            try stream.send(head, nothing)
            for copy in 0..<count {
                let start = first.lowerBound + copy * step
                try send(buffer, start..<(start + first.count), stream)
            }
            return
        }
        let perTurn = Session.chunk / first.count
        let gathered = UnsafeMutableRawBufferPointer.allocate(byteCount: min(count, perTurn) * first.count, alignment: 16)
        defer { gathered.deallocate() }
        var copy = 0
        while copy < count {
            let turn = min(perTurn, count - copy)
            for index in 0..<turn {
                let start = first.lowerBound + (copy + index) * step
                let target = UnsafeMutableRawBufferPointer(rebasing: gathered[(index * first.count)..<((index + 1) * first.count)])
                if let host = buffer.hostBytes {
                    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: host[start..<(start + first.count)]))
                } else {
                    try backendCall { try buffer.backend.read(buffer, at: start, into: target) }
                }
            }
            let part = UnsafeRawBufferPointer(rebasing: gathered[..<(turn * first.count)])
            try stream.send(copy == 0 ? head : nothing, part)
            copy += turn
        }
    }

    func copy(_ source: TensorRecord, to target: TensorRecord) throws {
        let from = try buffers.place(of: source)
        let to = try buffers.place(of: target)
        let range = try to.range(0, UInt64(from.extent))
        let origin = from.offset..<(from.offset + from.extent)
        if from.extent == 0 { return }
        try withBytes(of: from.entry.buffer, origin) { bytes in
            try backendCall { try to.entry.buffer.backend.write(bytes, to: to.entry.buffer, at: range.lowerBound) }
        }
    }

    func fill(_ buffer: any Buffer, _ range: Range<Int>, _ value: UInt8) throws {
        if range.isEmpty { return }
        if let host = buffer.hostBytes, let base = host.baseAddress {
            memset(base + range.lowerBound, Int32(value), range.count)
            return
        }
        let bytes = [UInt8](repeating: value, count: min(range.count, Session.chunk))
        try inChunks(range) { part in
            try bytes.withUnsafeBytes { bytes in
                let piece = UnsafeRawBufferPointer(rebasing: bytes[..<part.count])
                try backendCall { try buffer.backend.write(piece, to: buffer, at: part.lowerBound) }
            }
        }
    }

    // MARK: Moving bytes

    /// The first stretch as a range of the buffer, once the last lies inside of the tensor too.
    private func firstStretch(_ region: Request.Region2D, of place: BufferTable.Place) throws -> Range<Int> {
        guard region.byteCount > 0, region.copies > 0 else {
            throw SessionError(.malformed, nil, "\(region.copies) stretches of \(region.byteCount) bytes")
        }
        let (distance, overflow) = region.stride.multipliedReportingOverflow(by: region.copies - 1)
        let (span, carried) = distance.addingReportingOverflow(region.byteCount)
        guard !overflow, !carried else { throw SessionError(.bounds, nil, "stretches that overflow") }
        let whole = try place.range(region.offset, span)
        guard region.copies <= UInt64(Int32.max) else {
            throw SessionError(.limit, nil, "\(region.copies) stretches")
        }
        return whole.lowerBound..<(whole.lowerBound + Int(region.byteCount))
    }

    private func receive(_ stream: any ByteStream, into buffer: any Buffer, _ range: Range<Int>) throws {
        if let host = buffer.hostBytes {
            return try stream.receive(into: UnsafeMutableRawBufferPointer(rebasing: host[range]))
        }
        let staging = UnsafeMutableRawBufferPointer.allocate(byteCount: min(range.count, Session.chunk), alignment: 16)
        defer { staging.deallocate() }
        try inChunks(range) { part in
            let piece = UnsafeMutableRawBufferPointer(rebasing: staging[..<part.count])
            try stream.receive(into: piece)
            try backendCall { try buffer.backend.write(UnsafeRawBufferPointer(piece), to: buffer, at: part.lowerBound) }
        }
    }

    private func send(_ buffer: any Buffer, _ range: Range<Int>, _ stream: any ByteStream) throws {
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        try inChunks(range) { part in
            try withBytes(of: buffer, part) { try stream.send($0, nothing) }
        }
    }

    /// The bytes themselves where they are this process's, else a copy.
    private func withBytes(of buffer: any Buffer, _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        if let host = buffer.hostBytes { return try body(UnsafeRawBufferPointer(rebasing: host[range])) }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 16)
        defer { copy.deallocate() }
        try backendCall { try buffer.backend.read(buffer, at: range.lowerBound, into: copy) }
        try body(UnsafeRawBufferPointer(copy))
    }

    func inChunks(_ range: Range<Int>, _ body: (Range<Int>) throws -> Void) rethrows {
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(range.upperBound, start + Session.chunk)
            try body(start..<end)
            start = end
        }
    }
}

extension Request.Region2D {
    /// The stride of stretches that lie inside of a tensor; that of a single one is never used, whatever it says.
    fileprivate var step: Int { copies > 1 ? Int(clamping: stride) : 0 }
}
