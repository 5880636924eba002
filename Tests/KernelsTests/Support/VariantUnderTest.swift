import Foundation
import KernelTable
import KernelsBaseline
import Testing

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// One instruction-set variant that this machine's processor can run.
struct VariantUnderTest: Sendable, CustomTestStringConvertible {
    var name: String
    var table: ProductTable

    var testDescription: String { name }

    static let all: [VariantUnderTest] = {
        var variants = [
            VariantUnderTest("Baseline", KernelsBaseline.fillConversions, KernelsBaseline.fillProducts)
        ]
        #if arch(x86_64)
        let flags = processorFlags()
        if flags.isSuperset(of: ["avx2", "fma", "f16c"]) {
            variants.append(VariantUnderTest("AVX2", KernelsAVX2.fillConversions, KernelsAVX2.fillProducts))
        }
        if flags.isSuperset(of: ["avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"]) {
            variants.append(VariantUnderTest("AVX512", KernelsAVX512.fillConversions, KernelsAVX512.fillProducts))
        }
        #endif
        return variants
    }()

    private init(_ name: String, _ fillings: (UnsafeMutablePointer<ProductTable>) -> Void...) {
        self.name = name
        table = ProductTable()
        for fill in fillings { withUnsafeMutablePointer(to: &table) { fill($0) } }
    }

    /// The processor's flags as the system lists them; asked here again so that the tests do not lean on the
    /// detection that they stand beside.
    private static func processorFlags() -> Set<String> {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else { return [] }
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("flags") }) else { return [] }
        return Set(line.split(separator: " ").map(String.init))
    }
}
