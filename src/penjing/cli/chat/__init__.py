"""`penjing chat`: a conversation on the terminal, or one answer for a pipe."""
