// Whoever imports Node has the worker too, and what its options are made of.
@_exported public import Base
@_exported public import NodeWorker
