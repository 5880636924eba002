import Kernels
import Testing

@Suite struct ProcessorTests {
    /// A variant is refused with the reason unless everything it was compiled for is there and its registers are saved.
    @Test func refusesVariantsForWhatIsMissing() {
        let old = Processor(features: [.sse42])
        #expect(KernelVariant.best(for: old) == .baseline)
        #expect(KernelVariant.avx2.obstacle(on: old)?.contains("AVX2") == true)

        var unsaved = Processor(features: KernelVariant.avx512.requiredFeatures)
        #expect(KernelVariant.best(for: unsaved) == .avx512)
        unsaved.features.remove(.savesZMM)
        #expect(KernelVariant.best(for: unsaved) == .avx2)
        #expect(KernelVariant.avx512.obstacle(on: unsaved)?.contains("saved") == true)
        var half = Processor(features: KernelVariant.avx512.requiredFeatures)
        half.features.remove(.avx512VNNI)
        #expect(KernelVariant.best(for: half) == .avx2)
    }

    @Test func describesThisMachine() {
        let device = DeviceDescription.current()
        #expect(device.coreCount >= 1)
        #expect(device.memory.total > 0 && device.memory.free <= device.memory.total)
        #expect(device.variants.count == KernelVariant.allCases.count)
        #expect(device.variants.first { $0.variant == device.chosen }?.obstacle == nil)
    }
}
