// The service worker: the shell is kept whole on the device, so that the page opens without a network.
