#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#elseif canImport(Darwin)
internal import Darwin
#endif

/// What the C library knows about floating point and the standard library does not.
enum FloatingPointMath {
    static func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }
}
