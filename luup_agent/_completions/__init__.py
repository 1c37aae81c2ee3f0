"""Chat completions that are made outside the core: by HTTP servers, scripted functions, cassettes or a local model.

The core writes each request and reads the chunks of its answer; a `Responder` of this package moves them. May import
`_native` and the rooms before it, but neither `Model` nor `Agent`.
"""
