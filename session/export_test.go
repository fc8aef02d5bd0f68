package session

// CreateWithoutLinks is createWithoutLinks, which only runs by itself where the
// file system has no hard links.
var CreateWithoutLinks = createWithoutLinks
