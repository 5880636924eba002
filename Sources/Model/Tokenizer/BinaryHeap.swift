/// An element of a ``BinaryHeap``.
protocol HeapElement {
    /// Whether this element leaves the heap before the other. A strict order.
    func precedes(_ other: Self) -> Bool
}

/// A priority queue. Pushing and popping take O(log n).
struct BinaryHeap<Element: HeapElement> {
    private var elements: [Element] = []

    var isEmpty: Bool { elements.isEmpty }
    /// The element that leaves next.
    var top: Element? { elements.first }

    mutating func push(_ element: Element) {
        elements.append(element)
        var child = elements.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard element.precedes(elements[parent]) else { break }
            elements[child] = elements[parent]
            child = parent
        }
        elements[child] = element
    }

    mutating func pop() -> Element? {
        guard let top = elements.first, let last = elements.popLast() else { return nil }
        guard !elements.isEmpty else { return top }
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < elements.count else { break }
            if child + 1 < elements.count, elements[child + 1].precedes(elements[child]) { child += 1 }
            guard elements[child].precedes(last) else { break }
            elements[hole] = elements[child]
            hole = child
        }
        elements[hole] = last
        return top
    }

    mutating func removeAll() { elements.removeAll(keepingCapacity: true) }
}
