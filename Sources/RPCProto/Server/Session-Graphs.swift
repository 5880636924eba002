internal import Tensor

// Graphs: received, checked, prepared, computed, kept.
extension Session {
    /// The message behind the head, whose size is within the limit. Memory for it comes as its bytes do, so that announcing many costs nothing.
    func receiveGraph(byteCount: UInt64, _ stream: any ByteStream) throws -> [UInt8] {
        let total = Int(byteCount)
        var message: [UInt8] = []
        while message.count < total {
            let size = min(1 << 20, total - message.count)
            let part = try [UInt8](unsafeUninitializedCapacity: size) { bytes, count in
                try stream.receive(into: UnsafeMutableRawBufferPointer(start: bytes.baseAddress, count: size))
                count = size
            }
            if message.isEmpty, size == total { return part }
            message += part
        }
        return message
    }

    func compute(_ number: UInt32, _ uid: UInt64, _ nodeCount: UInt32, _ message: [UInt8]) throws {
        let backend = try device(number)
        try activity.compute {
            let (plan, handles, length) = try prepare(backend, nodeCount, message)
            try backendCall { try backend.run(Step(plan: plan)) }
            if uid == 0 { return }
            // What lies behind the lists says nothing.
            let kept = message.count == length ? message : Array(message.prefix(length))
            guard graphs[Int(number)].add(uid, nodeCount: nodeCount, kept, handles, plan) else {
                let limit = options.keptGraphByteCount >> 20
                throw SessionError(.limit, nil, "the graphs to be kept are more than the \(limit) MiB that one session may have kept, or than is left for all")
            }
        }
    }

    func recompute(_ number: UInt32, _ uid: UInt64) throws {
        let backend = try device(number)
        guard uid != 0, let found = graphs[Int(number)].find(uid) else {
            throw SessionError(.unknown, nil, "there is no graph \(uid) on device \(number)")
        }
        try activity.compute {
            switch found {
            case .ready(let plan):
                try backendCall { try backend.run(Step(plan: plan)) }
            case .message(let message, let nodeCount):
                let (plan, _, _) = try prepare(backend, nodeCount, message)
                try backendCall { try backend.run(Step(plan: plan)) }
                graphs[Int(number)].restore(uid, plan)
            }
        }
    }

    private func prepare(
        _ backend: any Backend, _ nodeCount: UInt32, _ bytes: [UInt8]
    ) throws -> (plan: any Plan, handles: Set<UInt64>, byteCount: Int) {
        guard let message = bytes.withUnsafeBytes({ GraphMessage(nodeCount: nodeCount, $0) }) else {
            throw SessionError(.malformed, .computeGraph, "the lists of nodes and tensors are longer than the message")
        }
        let (graph, handles) = try GraphReader.read(message, buffers, dialect)
        return (try backendCall { try backend.prepare(graph) }, handles, message.byteCount)
    }
}
