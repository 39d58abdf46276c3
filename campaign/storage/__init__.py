"""Storage: the database, transactions, and data that processes share. Rules about petitions belong elsewhere.

Start with `database.py` for connections and `transactions.py` for write transactions. `group_commit.py` stores
signatures that arrive together in one commit, `replica.py` reads from a replica, and `pagination.py` pages by key.
`single_flight.py` caches results that many requests need at once, `redis.py` connects to Redis, `request_counts.py`
counts requests for the rate limits, and `circuit_breaker.py` stops using a broken server for a while.
"""
