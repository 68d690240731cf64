"""The OAuth2 token service: client credentials in, signed access tokens out.

The protocol lies in modules named after the RFC they follow (``rfc6749/`` and ``rfcNNNN.py``) and knows
nothing of Quart, which stands in ``app``, ``views`` and ``connection``. What is kept on disk is ``state``,
``database``, ``clients`` and ``keys``.
"""
