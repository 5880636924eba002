// Whoever knows nodes knows what they say to each other.
@_exported public import PeerMessages
