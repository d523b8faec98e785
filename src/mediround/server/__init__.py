"""`mediround serve`: the session engine over HTTP, for many people and many sessions at once.

settings    what an operator decides
app         create_app: routes, gate and page put together
gate        who may come in: host, origin, token, rate, size of bodies; headers of answers
routes_*    the routes: thin, they translate
views       what answers look like; requests: what is understood
stream      an answer as server-sent events
engine      one thread that holds the sessions and asks the model; queue: whose turn it is
features    the model with a bounded memory of encoded images, spilled to disk
live        the bounded pool of sessions that are in memory
uploads     images and volumes on disk, decoded apart
rendering   slices as pictures and as values
history     sessions on disk: every version of every dialogue; mask_store: its masks
audit       who did what, chained by hashes
database    opening, migrating; tables: what is in it
mcp         the same engine for language models' tools
"""
