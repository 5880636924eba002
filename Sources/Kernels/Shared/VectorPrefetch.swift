internal import Builtin

/// Asks for the cache line at `pointer`, to be read soon. Harmless for any address.
@_transparent
func prefetchLine(_ pointer: UnsafeRawPointer) {
    Builtin.int_prefetch_RawPointer(pointer._rawValue, Int32(0)._value, Int32(3)._value, Int32(1)._value)
}
