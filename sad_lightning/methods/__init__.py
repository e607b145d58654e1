"""One file a method: its equation, its loss, its class. Adding one touches this folder and conf/method only."""
