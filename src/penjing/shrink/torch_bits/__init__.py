"""Checkpoints whose matrices are kept in few bits as torch trains beside them: by torchao and by bitsandbytes."""
