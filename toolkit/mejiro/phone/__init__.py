"""Put what was bundled onto an Android phone, over adb."""
