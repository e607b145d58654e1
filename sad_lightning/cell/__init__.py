"""One cell: its key, how it is prepared, trained, scored and recorded."""
