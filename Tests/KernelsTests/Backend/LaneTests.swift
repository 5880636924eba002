import Foundation
import Kernels
import Synchronization
import Tensor
import Testing

/// Users of one processor must neither see nor starve nor outlast each other.
@Suite struct LaneTests {
    /// A graph of `count` products of matrices of 512 × 512, none of which can be left out.
    private func work(_ count: Int, on backend: CPUBackend) throws -> (plan: any Plan, result: TensorID) {
        let builder = GraphBuilder()
        let size = 512 * 512 * 4
        let buffer = try backend.allocate(byteCount: 3 * size)
        let a = builder.placed("a", .f32, Shape(512, 512), in: buffer, at: 0)
        var product = builder.placed("b", .f32, Shape(512, 512), in: buffer, at: size)
        for _ in 0..<count { product = builder.scale(builder.matMul(a, product), by: 1) }
        builder.markOutput(product)
        return (try backend.prepare(try builder.finish()), product)
    }

    /// Whether what one lane begins later is done while another still computes.
    private func overtakes(_ later: CPUBackend, _ short: any Plan, _ earlier: CPUBackend, _ long: any Plan) throws -> Bool {
        let longIsDone = Atomic<Bool>(false)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            try? earlier.run(Step(plan: long))
            longIsDone.store(true, ordering: .sequentiallyConsistent)
            done.signal()
        }
        thread.start()
        defer { done.wait() }
        Thread.sleep(forTimeInterval: 0.02)
        try later.run(Step(plan: short))
        return !longIsDone.load(ordering: .sequentiallyConsistent)
    }

    @Test func computesInLanesAtTheSameTimeWhatEachComputesAlone() throws {
        let backend = try CPUBackend(threads: 2)
        let sums = Mutex<[Int: Float]>([:])
        var threads: [Thread] = []
        let done = DispatchSemaphore(value: 0)
        for index in 1...4 {
            let lane = try backend.lane()
            let thread = Thread {
                defer { done.signal() }
                guard
                    let values = try? {
                        let test = GraphUnderTest()
                        let x = test.floats(Dense(Shape(256, 64)) { i0, i1, _, _ in Float((i0 + i1 * index) % 7) })
                        let product = test.builder.matMul(x, x)
                        var values: [Float] = []
                        for _ in 0..<20 { values = try test.values(of: product, on: lane) }
                        return values
                    }()
                else { return }
                sums.withLock { $0[index] = values.reduce(0, +) }
            }
            thread.stackSize = 1 << 20
            thread.start()
            threads.append(thread)
        }
        for _ in threads { done.wait() }
        for index in 1...4 {
            var expected: Float = 0
            for column in 0..<64 {
                for row in 0..<64 {
                    for k in 0..<256 { expected += Float((k + row * index) % 7) * Float((k + column * index) % 7) }
                }
            }
            #expect(sums.withLock { $0[index] } == expected)
        }
    }

    @Test func refusesAnotherLanesBuffers() throws {
        let backend = try CPUBackend(threads: 1)
        let (one, other) = (try backend.lane(), try backend.lane())
        let buffer = try one.allocate(byteCount: 64)
        #expect(throws: BackendError.self) { try other.write(UnsafeRawBufferPointer(start: nil, count: 0), to: buffer, at: 0) }
        let builder = GraphBuilder()
        _ = builder.scale(builder.placed("x", .f32, Shape(4), in: buffer, at: 0), by: 1)
        let graph = try builder.finish()
        #expect(throws: BackendError.self) { try other.prepare(graph) }
    }

    @Test(arguments: [1, 2]) func lendsTurnsToOthersInTheMiddleOfALongGraph(threads: Int) throws {
        let backend = try CPUBackend(threads: threads)
        let (long, short) = (try backend.lane(), try backend.lane())
        let longWork = try work(400, on: long)
        let shortWork = try work(1, on: short)
        #expect(try overtakes(short, shortWork.plan, long, longWork.plan))
    }

    /// One product is one section.
    @Test(arguments: [1, 2]) func lendsTurnsToOthersInTheMiddleOfALongProduct(threads: Int) throws {
        let backend = try CPUBackend(threads: threads)
        let (long, short) = (try backend.lane(), try backend.lane())
        let buffer = try long.allocate(byteCount: 3 * 4096 * 4096 * 4)
        let builder = GraphBuilder()
        let a = builder.placed("a", .f32, Shape(4096, 4096), in: buffer, at: 0)
        let b = builder.placed("b", .f32, Shape(4096, 4096), in: buffer, at: 4096 * 4096 * 4)
        builder.markOutput(builder.matMul(a, b))
        let plan = try long.prepare(try builder.finish())
        let shortWork = try work(1, on: short)
        #expect(try overtakes(short, shortWork.plan, long, plan))
    }

    /// Tables of pointers are made for every node, whatever little it computes.
    @Test func refusesGraphsWhoseTablesWouldFillTheMemory() throws {
        let backend = try CPUBackend(threads: 1)
        let buffer = try backend.allocate(byteCount: 1 << 24)
        let builder = GraphBuilder()
        let row = builder.placed("row", .f32, Shape(32, 1), in: buffer, at: 0)
        let columns = builder.placed("columns", .f32, Shape(32, 65536), in: buffer, at: 4096)
        for _ in 0..<1000 { _ = builder.matMul(row, columns) }
        let graph = try builder.finish()
        #expect(throws: BackendError.self) { try backend.prepare(graph) }
    }

    @Test func stopsWhatRunsWhenItsUserIsGone() throws {
        let backend = try CPUBackend(threads: 2)
        let (gone, other) = (try backend.lane(), try backend.lane())
        let endless = try work(20_000, on: gone)
        let code = Mutex<BackendError.Code?>(nil)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            do {
                try gone.run(Step(plan: endless.plan))
            } catch {
                code.withLock { $0 = (error as? BackendError)?.code }
            }
            done.signal()
        }
        thread.start()
        Thread.sleep(forTimeInterval: 0.02)
        gone.cancel()
        done.wait()
        #expect(code.withLock { $0 } == .cancelled)
        // For good, and for it alone.
        #expect(throws: BackendError.self) { try gone.run(Step(plan: endless.plan)) }
        let next = try work(1, on: other)
        try other.run(Step(plan: next.plan))
    }

    @Test func refusesGraphsOfMoreWorkThanOneMayTake() throws {
        var limits = CPUBackend.Limits()
        limits.graphSeconds = 0.2
        let backend = try CPUBackend(threads: 1, limits: limits)
        #expect(throws: BackendError.self) { try work(1000, on: backend) }
        // What is too little to be counted is let through.
        let test = GraphUnderTest()
        let x = test.floats(Dense(Shape(4)) { i, _, _, _ in Float(i) })
        #expect(try test.values(of: test.builder.scale(x, by: 2), on: backend) == [0, 2, 4, 6])
    }

    @Test func lendsNoMoreMemoryThanItMay() throws {
        var limits = CPUBackend.Limits()
        limits.memory = 1 << 20
        let backend = try CPUBackend(threads: 1, limits: limits)
        let lane = try backend.lane()
        #expect(try lane.memory().total == 1 << 20)
        var buffer: (any TensorBuffer)? = try lane.allocate(byteCount: 700_000)
        #expect(try backend.memory().free < 400_000)
        #expect(throws: BackendError.self) { try backend.allocate(byteCount: 700_000) }
        #expect(buffer != nil)
        buffer = nil
        _ = try backend.allocate(byteCount: 700_000)
    }

    @Test func refusesBuffersThatTheMachineCouldNotFill() throws {
        var limits = CPUBackend.Limits()
        limits.refusesOvercommitment = true
        let backend = try CPUBackend(threads: 1, limits: limits)
        let free = try backend.memory().free
        let first = try backend.allocate(byteCount: free / 4 * 3)
        // Untouched, and counted all the same.
        #expect(throws: BackendError.self) { try backend.allocate(byteCount: free / 4 * 3) }
        _ = first
    }
}
