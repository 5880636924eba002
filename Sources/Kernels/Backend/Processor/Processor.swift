#if arch(x86_64)
internal import Builtin
internal import _Builtin_intrinsics.intel.cpuid
#endif

/// What this machine's processor can do, as far as choosing kernels needs it.
public struct Processor: Hashable, Sendable {
    /// Instruction-set extensions, and whether the system saves their registers.
    public struct Features: OptionSet, Hashable, Sendable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let sse42 = Features(rawValue: 1 << 0)
        public static let avx = Features(rawValue: 1 << 1)
        public static let fma = Features(rawValue: 1 << 2)
        public static let f16c = Features(rawValue: 1 << 3)
        public static let avx2 = Features(rawValue: 1 << 4)
        public static let bmi1 = Features(rawValue: 1 << 5)
        public static let bmi2 = Features(rawValue: 1 << 6)
        public static let avx512F = Features(rawValue: 1 << 7)
        public static let avx512BW = Features(rawValue: 1 << 8)
        public static let avx512VL = Features(rawValue: 1 << 9)
        public static let avx512DQ = Features(rawValue: 1 << 10)
        public static let avx512CD = Features(rawValue: 1 << 11)
        public static let avx512VNNI = Features(rawValue: 1 << 12)
        public static let lzcnt = Features(rawValue: 1 << 13)
        public static let movbe = Features(rawValue: 1 << 14)
        /// The system saves the 256-bit registers.
        public static let savesYMM = Features(rawValue: 1 << 30)
        /// The system saves the mask and 512-bit registers.
        public static let savesZMM = Features(rawValue: 1 << 31)

        static let named: [(Features, String)] = [
            (.sse42, "SSE4.2"), (.avx, "AVX"), (.fma, "FMA"), (.f16c, "F16C"), (.avx2, "AVX2"), (.bmi1, "BMI1"),
            (.bmi2, "BMI2"), (.lzcnt, "LZCNT"), (.movbe, "MOVBE"), (.avx512F, "AVX-512 F"), (.avx512BW, "AVX-512 BW"),
            (.avx512VL, "AVX-512 VL"), (.avx512DQ, "AVX-512 DQ"), (.avx512CD, "AVX-512 CD"),
            (.avx512VNNI, "AVX-512 VNNI"), (.savesYMM, "256-bit registers saved by the system"),
            (.savesZMM, "512-bit registers saved by the system"),
        ]

        /// The names of the extensions in this set.
        public var names: [String] { Features.named.filter { contains($0.0) }.map(\.1) }
    }

    public var features: Features

    /// The processor this runs on, asked by CPUID and XGETBV.
    public static let current = Processor(features: detect())

    public init(features: Features) { self.features = features }

    private static func detect() -> Features {
        #if arch(x86_64)
        var found: Features = []
        let basic = leaf(1, 0)
        let extended = leaf(7, 0)
        let vendor = leaf(0x8000_0001, 0)
        func add(_ feature: Features, _ register: UInt32, _ bit: UInt32) {
            if register >> bit & 1 == 1 { found.insert(feature) }
        }
        add(.fma, basic.ecx, 12)
        add(.sse42, basic.ecx, 20)
        add(.movbe, basic.ecx, 22)
        add(.avx, basic.ecx, 28)
        add(.f16c, basic.ecx, 29)
        add(.bmi1, extended.ebx, 3)
        add(.avx2, extended.ebx, 5)
        add(.bmi2, extended.ebx, 8)
        add(.avx512F, extended.ebx, 16)
        add(.avx512DQ, extended.ebx, 17)
        add(.avx512CD, extended.ebx, 28)
        add(.avx512BW, extended.ebx, 30)
        add(.avx512VL, extended.ebx, 31)
        add(.avx512VNNI, extended.ecx, 11)
        add(.lzcnt, vendor.ecx, 5)
        // OSXSAVE: without it XGETBV is no instruction.
        if basic.ecx >> 27 & 1 == 1 {
            let saved = UInt64(truncatingIfNeeded: Int64(Builtin.int_x86_xgetbv(Int32(0)._value)))
            if saved & 0x06 == 0x06 { found.insert(.savesYMM) }
            if saved & 0xe6 == 0xe6 { found.insert(.savesZMM) }
        }
        return found
        #else
        return []
        #endif
    }

    #if arch(x86_64)
    private static func leaf(_ number: UInt32, _ part: UInt32) -> (ebx: UInt32, ecx: UInt32, edx: UInt32) {
        var eax: UInt32 = 0
        var ebx: UInt32 = 0
        var ecx: UInt32 = 0
        var edx: UInt32 = 0
        guard __get_cpuid_count(number, part, &eax, &ebx, &ecx, &edx) == 1 else { return (0, 0, 0) }
        return (ebx, ecx, edx)
    }
    #endif
}
