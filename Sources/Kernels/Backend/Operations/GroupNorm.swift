internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// Channels (dimension 2) in groups, each brought to mean 0 and variance 1 by itself (Wu & He, 2018).
    ///
    /// Groups are of as many channels as there need to be; what is left for the last ones may be fewer or none.
    mutating func addGroupNorm(_ id: TensorID, groups: Int, epsilon: Float) throws(BackendError) {
        let a = try source(id, 0)
        let result = try floatOutput(id, a.shape)
        guard groups > 0 else { throw invalid(id, "\(groups) groups") }
        if a.isEmpty { return }
        let perGroup = a.n2 / groups + (a.n2 % groups == 0 ? 0 : 1)
        let groupCount = (a.n2 - 1) / perGroup + 1
        let reader = try reader(id, a)
        let offset = reader.scratchCount
        try needScratch((offset + a.n0) * 4)
        let (scale, mul, sum) = (vector.scale, vector.mul, vector.sum)
        let elements = Double(a.n0) * Double(a.n1) * Double(perGroup)
        addPhase(
            over: groupCount * a.n3, costPerUnit: elements * 0.6 + 30, reads: a.ranges, writes: result.ranges
        ) { worker, range in
            let squares = worker.floats(offset)
            for unit in range {
                let (i3, group) = unit.quotientAndRemainder(dividingBy: groupCount)
                let first = group &* perGroup
                let channels = first..<min(first &+ perGroup, a.n2)
                let count = Double(a.n0) * Double(a.n1) * Double(channels.count)
                func eachRow(_ body: (Int, Int) -> Void) {
                    for i2 in channels {
                        for i1 in 0..<a.n1 { body(i1, i2) }
                    }
                }
                var total = 0.0
                eachRow { i1, i2 in total += Double(sum(reader.values(at: a.row3(i1, i2, i3), worker.floats()), a.n0)) }
                let mean = Float(total / count)
                var variance = 0.0
                eachRow { i1, i2 in
                    let values = reader.values(at: a.row3(i1, i2, i3), worker.floats())
                    let out = result.row3(i1, i2, i3).assumingMemoryBound(to: Float.self)
                    scale(values, out, a.n0, 1, -mean)
                    mul(UnsafePointer(out), UnsafePointer(out), squares, a.n0)
                    variance += Double(sum(UnsafePointer(squares), a.n0))
                }
                let factor = 1 / (Float(variance / count) + epsilon).squareRoot()
                eachRow { i1, i2 in
                    let out = result.row3(i1, i2, i3).assumingMemoryBound(to: Float.self)
                    scale(UnsafePointer(out), out, a.n0, factor, 0)
                }
            }
        }
    }
}
