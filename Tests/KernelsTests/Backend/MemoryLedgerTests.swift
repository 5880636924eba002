import Kernels
import Synchronization
import Tensor
import Testing

/// Memory is promised in the middle of steps: the system is asked for it seldom, and nobody is promised what is not there.
struct MemoryLedgerTests {
    /// A machine whose memory and time are the test's.
    private final class Machine: Sendable {
        private struct State {
            var free = 1000
            var touched = 500
            var now: UInt64 = 1
            var readCount = 0
        }

        private let state = Mutex(State())

        var readCount: Int { state.withLock { $0.readCount } }

        /// Somebody uses memory, this process or another.
        func use(_ byteCount: Int, here: Bool) {
            state.withLock { state in
                state.free -= byteCount
                if here { state.touched += byteCount }
            }
        }

        func pass(milliseconds: UInt64) { state.withLock { $0.now += milliseconds * 1_000_000 } }

        func ledger(limit: Int? = nil, isStrict: Bool = true, countsPromises: Bool = false) -> MemoryLedger {
            MemoryLedger(
                limit: limit, isStrict: isStrict, countsPromises: countsPromises,
                read: { [self] in
                    state.withLock { state in
                        state.readCount += 1
                        return .init(system: DeviceMemory(free: state.free, total: 2000), touchedByteCount: state.touched)
                    }
                }, clock: { [self] in state.withLock { $0.now } })
        }
    }

    private func isRefused(_ byteCount: Int, _ ledger: MemoryLedger) -> Bool {
        do throws(BackendError) {
            try ledger.take(byteCount)
            return false
        } catch {
            return error.code == .outOfMemory
        }
    }

    @Test("models of one process: nothing is refused, and what they were promised and what they have mapped is not free for the next")
    func sharedAccount() throws {
        let machine = Machine()
        let ledger = machine.ledger(isStrict: false, countsPromises: true)
        try ledger.take(5000)
        #expect(ledger.memory() == DeviceMemory(free: 0, total: 2000, lent: 5000))
        ledger.giveBack(4900)
        #expect(ledger.memory() == DeviceMemory(free: 900, total: 2000, lent: 100))
        // What is touched the system counts itself.
        machine.use(100, here: true)
        #expect(ledger.memory().free == 900)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 300, alignment: 1)
        defer { bytes.deallocate() }
        let weights = UnsafeRawBufferPointer(bytes)
        for _ in 0..<3 { ledger.borrow(weights) }
        #expect(ledger.memory().free == 600)
        for free in [600, 600, 900, 900] {
            ledger.giveBack(borrowed: weights)
            #expect(ledger.memory().free == free)
        }
    }

    @Test("weights that a processor computes with where they are mapped count as taken while it has them")
    func loadedWeights() throws {
        final class Owner: Sendable {}
        var limits = CPUBackend.Limits()
        let ledger = MemoryLedger(
            limit: nil, isStrict: false, countsPromises: true,
            read: { .init(system: DeviceMemory(free: 1000, total: 1000), touchedByteCount: 0) }, clock: { 0 })
        limits.ledger = ledger
        let backend = try CPUBackend(threads: 1, limits: limits)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 64)
        defer { bytes.deallocate() }
        let content = MemoryRegion(bytes: UnsafeRawBufferPointer(bytes), owner: Owner())
        let upload = TensorUpload(name: "weights", type: .f32, shape: Shape(64), content: content)
        func free() throws -> Int { try backend.memory().free }
        do {
            let places = try backend.load([upload, upload])
            #expect(try free() == 744)
            withExtendedLifetime(places) {}
        }
        #expect(try free() == 1000)
    }

    @Test func theSystemIsAskedOnceInAWhile() throws {
        let machine = Machine()
        let ledger = machine.ledger()
        for _ in 0..<100 { try ledger.take(1) }
        #expect(machine.readCount == 1)
        machine.pass(milliseconds: 99)
        try ledger.take(1)
        #expect(machine.readCount == 1)
        machine.pass(milliseconds: 1)
        for _ in 0..<100 { try ledger.take(1) }
        #expect(machine.readCount == 2)
        #expect(ledger.promisedByteCount == 201)
    }

    /// Between two readings promises add up, and are refused where they are too many.
    @Test func promisesMadeMeanwhileCount() throws {
        let machine = Machine()
        let ledger = machine.ledger()
        for _ in 0..<10 { try ledger.take(100) }
        #expect(isRefused(1, ledger))
        #expect(ledger.promisedByteCount == 1000)
        ledger.giveBack(100)
        try ledger.take(100)
        #expect(isRefused(1, ledger))
    }

    /// Memory that was used and given back is free again at once, whatever the last reading says.
    @Test func nothingIsRefusedForAnOldWord() throws {
        let machine = Machine()
        let ledger = machine.ledger()
        try ledger.take(900)
        machine.use(900, here: true)
        machine.pass(milliseconds: 100)
        try ledger.take(1)
        machine.use(-900, here: true)
        ledger.giveBack(900)
        try ledger.take(900)
        #expect(ledger.promisedByteCount == 901)
        #expect(isRefused(100, ledger))
    }

    /// Whoever asks how much is free is told of this moment.
    @Test func questionsAreAnsweredAnew() throws {
        let machine = Machine()
        let ledger = machine.ledger()
        try ledger.take(300)
        #expect(ledger.memory() == DeviceMemory(free: 700, total: 2000, lent: 300))
        machine.use(200, here: true)
        #expect(ledger.memory() == DeviceMemory(free: 700, total: 2000, lent: 300))
        machine.use(500, here: false)
        #expect(ledger.memory() == DeviceMemory(free: 200, total: 2000, lent: 300))
        #expect(isRefused(201, ledger))
        try ledger.take(200)
    }

    /// Without a limit that is held against anything, the system need not be asked.
    @Test func nothingIsAskedWhereNothingIsRefused() throws {
        let machine = Machine()
        let ledger = machine.ledger(isStrict: false)
        machine.pass(milliseconds: 1000)
        try ledger.take(1 << 40)
        #expect(machine.readCount == 1)
        let limited = machine.ledger(limit: 150, isStrict: false)
        try limited.take(150)
        #expect(isRefused(1, limited))
    }
}
