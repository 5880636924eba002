/// ggml's numbers of the element types that kernels exist for, as `Tensor.ElementType` has them.
///
/// The kernel variants know no module but this one, so the numbers they need stand here again.
public enum TypeNumber {
    public static var f32: UInt32 { 0 }
    public static var f16: UInt32 { 1 }
    public static var q4_0: UInt32 { 2 }
    public static var q4_1: UInt32 { 3 }
    public static var q5_0: UInt32 { 6 }
    public static var q5_1: UInt32 { 7 }
    public static var q8_0: UInt32 { 8 }
    public static var q8_1: UInt32 { 9 }
    public static var q2_K: UInt32 { 10 }
    public static var q3_K: UInt32 { 11 }
    public static var q4_K: UInt32 { 12 }
    public static var q5_K: UInt32 { 13 }
    public static var q6_K: UInt32 { 14 }
    public static var q8_K: UInt32 { 15 }
    public static var iq2_xxs: UInt32 { 16 }
    public static var iq2_xs: UInt32 { 17 }
    public static var iq3_xxs: UInt32 { 18 }
    public static var iq1_s: UInt32 { 19 }
    public static var iq4_nl: UInt32 { 20 }
    public static var iq3_s: UInt32 { 21 }
    public static var iq2_s: UInt32 { 22 }
    public static var iq4_xs: UInt32 { 23 }
    public static var i8: UInt32 { 24 }
    public static var i16: UInt32 { 25 }
    public static var i32: UInt32 { 26 }
    public static var i64: UInt32 { 27 }
    public static var f64: UInt32 { 28 }
    public static var iq1_m: UInt32 { 29 }
    public static var bf16: UInt32 { 30 }
    public static var tq1_0: UInt32 { 34 }
    public static var tq2_0: UInt32 { 35 }
    public static var mxfp4: UInt32 { 39 }
    public static var nvfp4: UInt32 { 40 }
    public static var q1_0: UInt32 { 41 }
    public static var q2_0: UInt32 { 42 }
}
