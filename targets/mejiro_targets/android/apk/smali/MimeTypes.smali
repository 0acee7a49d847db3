# Tell the media type of an asset by the end of its name.

.class final Lorg/mejiro/shell/MimeTypes;
.super Ljava/lang/Object;


.method static of(Ljava/lang/String;)Ljava/lang/String;
    .registers 5

    # " " + ending + "=" finds the type, which ends at the next space.
    const/16 v0, 0x2e
    invoke-virtual {p0, v0}, Ljava/lang/String;->lastIndexOf(I)I
    move-result v0
    if-ltz v0, :unknown
    add-int/lit8 v0, v0, 0x1
    invoke-virtual {p0, v0}, Ljava/lang/String;->substring(I)Ljava/lang/String;
    move-result-object v0
    sget-object v1, Ljava/util/Locale;->ROOT:Ljava/util/Locale;
    invoke-virtual {v0, v1}, Ljava/lang/String;->toLowerCase(Ljava/util/Locale;)Ljava/lang/String;
    move-result-object v0
    const-string v1, " "
    invoke-virtual {v1, v0}, Ljava/lang/String;->concat(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v0
    const-string v1, "="
    invoke-virtual {v0, v1}, Ljava/lang/String;->concat(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v0

    const-string v1, " css=text/css gif=image/gif htm=text/html html=text/html ico=image/x-icon jpeg=image/jpeg jpg=image/jpeg js=text/javascript json=application/json map=application/json md=text/markdown mjs=text/javascript mp4=video/mp4 png=image/png svg=image/svg+xml txt=text/plain wasm=application/wasm webmanifest=application/manifest+json webp=image/webp woff2=font/woff2 "
    invoke-virtual {v1, v0}, Ljava/lang/String;->indexOf(Ljava/lang/String;)I
    move-result v2
    if-ltz v2, :unknown
    invoke-virtual {v0}, Ljava/lang/String;->length()I
    move-result v0
    add-int/2addr v2, v0
    const/16 v0, 0x20
    invoke-virtual {v1, v0, v2}, Ljava/lang/String;->indexOf(II)I
    move-result v0
    invoke-virtual {v1, v2, v0}, Ljava/lang/String;->substring(II)Ljava/lang/String;
    move-result-object v0
    return-object v0

    :unknown
    const-string v0, "application/octet-stream"
    return-object v0
.end method
