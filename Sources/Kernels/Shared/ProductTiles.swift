/// Goes through the results of a piece of a product: four columns of a row at a time, then the last columns singly.
///
/// Rows go in groups, so that a group's weights and four columns' activations stay in cache while each row meets
/// each column. Which of the functions computes a result depends on the split of the work; both must sum alike.
@inline(__always)
func forEachTile(
    _ firstRow: Int, _ rowCount: Int, _ firstColumn: Int, _ columnCount: Int,
    fourColumns: (_ row: Int, _ column: Int) -> Void, oneColumn: (_ rows: Range<Int>, _ column: Int) -> Void
) {
    let rowsPerGroup = 8
    let endRow = firstRow &+ rowCount
    let endColumn = firstColumn &+ columnCount
    var row = firstRow
    while row < endRow {
        let groupEnd = row &+ rowsPerGroup < endRow ? row &+ rowsPerGroup : endRow
        let rows = row..<groupEnd
        var column = firstColumn
        while column &+ 4 <= endColumn {
            for row in rows { fourColumns(row, column) }
            column = column &+ 4
        }
        while column < endColumn {
            oneColumn(rows, column)
            column = column &+ 1
        }
        row = groupEnd
    }
}

/// How far ahead of a row's single pass its weights are asked for.
let prefetchDistance = 8192

@Sendable
func noScratch(_ k: Int, _ n: Int) -> Int { 0 }
