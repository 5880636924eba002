public import KernelTable

/// Enters this variant's products of all the types it knows. Types with products made for them alone come last, so that
/// these replace the general ones.
public func fillProducts(_ table: UnsafeMutablePointer<ProductTable>) {
    addRunProducts(table)
    addFloatProducts(table)
    addBlockProducts(table)
    addSuperProducts(table)
}
