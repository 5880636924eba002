internal import Tensor

// Links to another worker, which reduce a tensor over both.
extension Session {
    /// - Returns: whether the device is one of two that reduce together. What prevents it is an answer, since heads can do
    ///   without.
    func join(_ number: UInt32, rank: UInt32, world: UInt32, port: UInt32, host: String) throws(SessionError) -> Bool {
        guard let options = options.collectives, number < devices.count, world == 2, rank < world,
            options.ports.contains(Int(port)), rank != 0 || Int(port) == options.listenPort ?? Int(port)
        else { return false }
        if links[Int(number)] != nil { return true }
        let rendezvous = CollectiveRendezvous(options: options, interruption: interruption)
        do throws(CollectiveFailure) {
            let (socket, peer) = try activity.reduce { () throws(CollectiveFailure) in
                rank == 0 ? try rendezvous.accept(port: Int(port)) : try rendezvous.connect(host: host, port: Int(port))
            }
            links[Int(number)] = CollectiveLink(socket, rank: rank, peer: peer, silence: options.silenceSeconds)
            return true
        } catch {
            // A client that has gone reads no answer.
            if interruption.isInterrupted { throw SessionError(.link, nil, error.message) }
            return false
        }
    }

    func reduce(_ number: UInt32, _ record: TensorRecord) throws {
        let backend = try device(number)
        guard let options = options.collectives, let link = links[Int(number)] else {
            throw SessionError(.unknown, nil, "device \(number) has joined no collective")
        }
        let layout = try record.layout()
        let place = try buffers.place(of: record)
        if place.extent == 0 { return }
        // Heads reduce nothing else. Bytes of other types and layouts would travel in an order that only the sender knows.
        let tensor = Tensor(name: record.name, type: layout.type, shape: layout.shape, strides: layout.strides)
        guard layout.type == .f32, tensor.isContiguous else {
            throw SessionError(.graph, nil, "tensor \"\(record.name)\" is not contiguous F32: only that is reduced")
        }
        guard place.extent <= options.exchangeByteCount else {
            throw SessionError(.limit, nil, "\(place.extent) bytes to reduce; \(options.exchangeByteCount) are allowed")
        }
        let range = place.offset..<(place.offset + place.extent)
        if let host = place.entry.buffer.hostBytes {
            return try activity.reduce { try link.reduce(UnsafeMutableRawBufferPointer(rebasing: host[range])) }
        }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 64)
        defer { copy.deallocate() }
        try backendCall { try backend.read(place.entry.buffer, at: range.lowerBound, into: copy) }
        try activity.reduce { try link.reduce(copy) }
        try backendCall { try backend.write(UnsafeRawBufferPointer(copy), to: place.entry.buffer, at: range.lowerBound) }
    }

    func leave(_ number: UInt32) throws {
        _ = try device(number)
        links[Int(number)] = nil
    }
}
