"""One reader a format of image data; each says what it recognises and what splits it holds."""
