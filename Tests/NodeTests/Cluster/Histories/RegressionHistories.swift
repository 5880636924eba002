import Node
import Testing

/// Histories of what went wrong once, each with many different delays.
@Suite(.timeLimit(.minutes(5))) struct RegressionHistories {
    /// One head, whose workers are as said and whose own memory is nobody's.
    private func world(_ seed: UInt64, _ workers: [(isStock: Bool, capacity: Int)]) -> World {
        let world = World(seed: seed, workers: workers.count, heads: 0)
        for (index, worker) in workers.enumerated() {
            world.workers[index].isStock = worker.isStock
            world.workers[index].capacity = worker.capacity
        }
        world.heads.append(HeadUnderTest(0, world, localCapacity: 0))
        return world
    }

    private func end(_ world: World, _ seed: UInt64) {
        world.check()
        #expect(world.complaints.isEmpty, "with seed \(seed)")
    }

    @Test("a model that is loaded while a stock worker is looked at waits for that look, and takes its connection over")
    func lookAndGather() throws {
        for seed in UInt64(1)...100 {
            let world = world(seed, [(isStock: true, capacity: 10)])
            let head = world.heads[0]
            world.run(until: .seconds(8))
            let look = try #require(head.membership.nextLook)
            // Somewhere around the look: before it, during it, after it.
            world.run(until: look + .milliseconds(Int(seed % 20) - 3))
            head.load(0, need: 5, waits: false)
            world.run(until: world.now + .seconds(60))
            #expect(head.models[0]?.isEngineRunning == true, "with seed \(seed)")
            #expect(!world.told.contains(.lost), "with seed \(seed)")
            end(world, seed)
        }
    }

    @Test("a load that fails leaves no user on the workers: they are let go of, and the next model has them")
    func failedLoad() {
        for seed in UInt64(1)...100 {
            let world = world(seed, [(isStock: true, capacity: 4), (isStock: false, capacity: 4)])
            let head = world.heads[0]
            world.run(until: .seconds(8))
            head.load(0, need: 10, waits: false)
            world.run(until: world.now + .seconds(60))
            #expect(head.models[0] == nil, "with seed \(seed)")
            #expect(head.membership.entries.allSatisfy { $0.users.isEmpty && $0.presence == .idle || $0.isConnecting }, "with seed \(seed)")
            head.load(0, need: 8, waits: false)
            world.run(until: world.now + .seconds(60))
            #expect(head.models[0]?.isEngineRunning == true, "with seed \(seed)")
            end(world, seed)
        }
    }

    @Test("streams go on while a worker that has less memory than it says cannot be moved to, however often that is tried")
    func impossibleMove() {
        for seed in UInt64(1)...100 {
            let world = world(seed, [(isStock: false, capacity: 12), (isStock: false, capacity: 12)])
            let head = world.heads[0]
            world.workers[1].lie = 12
            world.setState(1, .down)
            world.run(until: .seconds(8))
            head.load(0, need: 10, waits: false)
            world.run(until: world.now + .seconds(30))
            #expect(head.models[0]?.isEngineRunning == true, "with seed \(seed)")
            world.setState(1, .up)
            world.run(until: world.now + .seconds(300))
            #expect(head.models[0]?.isEngineRunning == true && head.models[0]?.suspensionCount == 0, "with seed \(seed)")
            // It is not lost for that, nor is the model kept from it once it has what it says.
            #expect(!world.told.contains(.lost) || world.told.count { $0 == .lost } == 1, "with seed \(seed)")
            #expect(world.complaints.isEmpty, "with seed \(seed)")
        }
    }

    @Test("one model is unloaded while another is brought to the same worker: the connection stays, and the other is placed")
    func unloadDuringUpload() {
        for seed in UInt64(1)...100 {
            let world = world(seed, [(isStock: true, capacity: 20)])
            let head = world.heads[0]
            world.run(until: .seconds(8))
            head.load(0, need: 8, waits: false)
            world.run(until: world.now + .seconds(40))
            #expect(head.models[0]?.isEngineRunning == true, "with seed \(seed)")
            head.load(1, need: 8, waits: false)
            world.run(until: world.now + .milliseconds(Int(seed) * 7))
            head.models[0]?.unload()
            world.run(until: world.now + .seconds(60))
            #expect(head.models[0] == nil, "with seed \(seed)")
            #expect(head.models[1]?.isEngineRunning == true && head.models[1]?.suspensionCount == 0, "with seed \(seed)")
            #expect(!world.told.contains(.lost), "with seed \(seed)")
            end(world, seed)
        }
    }

    @Test("a worker lost in the moment when a model is made ready on it is missed, though nobody asks the model for anything")
    func lossBeforeResume() {
        for seed in UInt64(1)...100 {
            let world = world(seed, [(isStock: false, capacity: 12), (isStock: false, capacity: 12)])
            let head = world.heads[0]
            world.run(until: .seconds(8))
            head.load(0, need: 8, waits: true)
            head.models[0]?.setAsked(false)
            world.run(until: world.now + .milliseconds(Int(seed) * 5))
            world.setState(1, .down)
            world.run(until: world.now + .seconds(60))
            #expect(head.models[0]?.isEngineRunning == true, "with seed \(seed)")
            end(world, seed)
        }
    }
}
