package import KernelTable
internal import KernelsBaseline
#if arch(x86_64)
internal import KernelsAVX2
internal import KernelsAVX512
#endif

/// The instruction sets that the kernels are compiled for, from the narrowest to the widest.
public enum KernelVariant: String, CaseIterable, Hashable, Sendable {
    case baseline
    case avx2
    case avx512

    /// For people: `AVX-512`.
    public var name: String {
        switch self {
        case .baseline: "baseline"
        case .avx2: "AVX2"
        case .avx512: "AVX-512"
        }
    }

    /// What a processor must have to run this variant.
    public var requiredFeatures: Processor.Features {
        #if arch(x86_64)
        switch self {
        case .baseline: [.sse42]
        case .avx2: [.sse42, .avx, .avx2, .fma, .f16c, .bmi1, .bmi2, .lzcnt, .movbe, .savesYMM]
        case .avx512:
            KernelVariant.avx2.requiredFeatures.union([
                .avx512F, .avx512BW, .avx512VL, .avx512DQ, .avx512CD, .avx512VNNI, .savesZMM,
            ])
        }
        #else
        []
        #endif
    }

    /// Why `processor` cannot run this variant; nil if it can.
    public func obstacle(on processor: Processor = .current) -> String? {
        #if !arch(x86_64)
        if self != .baseline { return "made for x86-64" }
        #endif
        let missing = requiredFeatures.subtracting(processor.features)
        return missing.isEmpty ? nil : "the processor lacks " + missing.names.joined(separator: ", ")
    }

    /// The widest variant that `processor` can run.
    public static func best(for processor: Processor = .current) -> KernelVariant {
        allCases.last { $0.obstacle(on: processor) == nil } ?? .baseline
    }
}

/// The kernels of one variant.
package struct KernelSet: Sendable {
    package var products = ProductTable()
    package var vector: VectorTable
    package var recurrence: RecurrenceTable

    /// Nil if the variant is not part of this build.
    package init?(_ variant: KernelVariant) {
        var rows: VectorTable?
        var recurrences: RecurrenceTable?
        switch variant {
        case .baseline:
            KernelsBaseline.fillProducts(&products)
            KernelsBaseline.fillConversions(&products)
            KernelsBaseline.fillVectorTable(&rows)
            KernelsBaseline.fillRecurrenceTable(&recurrences)
        #if arch(x86_64)
        case .avx2:
            KernelsAVX2.fillProducts(&products)
            KernelsAVX2.fillConversions(&products)
            KernelsAVX2.fillVectorTable(&rows)
            KernelsAVX2.fillRecurrenceTable(&recurrences)
        case .avx512:
            KernelsAVX512.fillProducts(&products)
            KernelsAVX512.fillConversions(&products)
            KernelsAVX512.fillVectorTable(&rows)
            KernelsAVX512.fillRecurrenceTable(&recurrences)
        #else
        default: return nil
        #endif
        }
        guard let rows, let recurrences else { return nil }
        vector = rows
        recurrence = recurrences
    }
}
