"""Is the trail genuine, and is it all there?"""
