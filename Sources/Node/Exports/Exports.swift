// Whoever imports Node has all of it, and what its options are made of.
@_exported public import Base
@_exported public import NodeCluster
@_exported public import NodePeers
@_exported public import NodeConsole
@_exported public import NodeEngine
@_exported public import NodeServer
@_exported public import NodeWorker
