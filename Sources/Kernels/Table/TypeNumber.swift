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
    public static var q4_K: UInt32 { 12 }
    public static var q5_K: UInt32 { 13 }
    public static var q6_K: UInt32 { 14 }
    public static var bf16: UInt32 { 30 }
}
