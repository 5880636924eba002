/// Goes through the results of a piece of a product, four columns at a time and the last columns singly.
///
/// Rows go in groups, so that a group's weights and four columns' activations stay in cache while each row meets
/// each column. Which of the two functions computes a result depends on the split of the work; both must sum alike.
@inline(__always)
func forEachTile(
    _ firstRow: Int, _ rowCount: Int, _ firstColumn: Int, _ columnCount: Int,
    four: (_ row: Int, _ column: Int) -> Void, one: (_ row: Int, _ column: Int) -> Void
) {
    let rowsPerGroup = 8
    let endRow = firstRow &+ rowCount
    let endColumn = firstColumn &+ columnCount
    var groupRow = firstRow
    while groupRow < endRow {
        let groupEnd = groupRow &+ rowsPerGroup < endRow ? groupRow &+ rowsPerGroup : endRow
        var column = firstColumn
        while column &+ 4 <= endColumn {
            for row in groupRow..<groupEnd { four(row, column) }
            column = column &+ 4
        }
        while column < endColumn {
            for row in groupRow..<groupEnd { one(row, column) }
            column = column &+ 1
        }
        groupRow = groupEnd
    }
}

/// How far ahead of a row's single pass its weights are asked for.
let prefetchDistance = 8192

@Sendable
func noScratch(_ k: Int, _ n: Int) -> Int { 0 }
