public import KernelTable

/// Enters this variant's products of all the types it knows.
public func fillProducts(_ table: UnsafeMutablePointer<ProductTable>) {
    addFloatProducts(table)
    addBlockProducts(table)
    addSuperProducts(table)
    addRunProducts(table)
}
