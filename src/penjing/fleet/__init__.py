"""Many machines and one hub: releases out, states back."""
